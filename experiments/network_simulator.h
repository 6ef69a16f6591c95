#pragma once

#include "env/simulator.h"
#include "quant/quantized_network.h"

namespace bitpilot {

/// The trained supernet as the environment's differentiable model: pictures are grouped by anchor, each with its own fractional bits.
class NetworkSimulator : public Simulator {
 public:
  /// `network` must outlive the simulator; its paths are the model's anchors in order.
  explicit NetworkSimulator(QuantizedNetwork* network) : network_(network) {}
  torch::Tensor loss(const torch::Tensor& pictures, const torch::Tensor& labels, const torch::Tensor& anchors,
                     const torch::Tensor& bits) override;

 private:
  QuantizedNetwork* network_;
};

}  // namespace bitpilot
