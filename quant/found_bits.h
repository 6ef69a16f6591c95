#pragma once

#include "quant/quantized_network.h"

namespace bitpilot {

/// A path that goes on training as the configuration that a search found for it, while its own tensors keep their shapes (so that a
/// checkpoint of either fits): the project's learned steps at the found bit-widths, and filters past the found blocks masked, behind
/// their ReLU.  QuantizedNetwork::with_paths on the found configuration gives the same function with the masked filters gone.
class FoundBits : public Quantizers {
 public:
  /// `found` may be replaced by a checkpoint's (state()).  Only layers that share their filters with no other may be narrow: Error(kBug).
  /// Layers that read one value must read it at the same bits.
  FoundBits(const QuantizedNetwork& network, const BitConfig& found);

  torch::Tensor weights(int layer, const torch::Tensor& weight, const torch::Tensor& log_step, int bits) const override;
  torch::Tensor activations(int layer, const torch::Tensor& value, const ActivationQuantizer& quantizer) const override;
  NamedTensors state() const { return {{"abs.found", found_}}; }
  BitConfig config() const;
  /// Fits the weights' steps to the found bit-widths, as they were last fitted to others.
  void fit_steps(QuantizedNetwork* network) const;

 private:
  int entry(int layer, int column) const;
  const Network network_;
  const BitSpace space_;
  std::vector<int> reader_;  ///< [layer] an adaptive layer that reads its value, -1: none
  torch::Tensor found_;      ///< [layers, 3] bits of weights, of activations, active blocks
};

}  // namespace bitpilot
