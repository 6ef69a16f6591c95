#pragma once

#include <utility>
#include <string>
#include <vector>

#include "quant/fake_quant.h"

namespace bitpilot {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// How a pass turns latent weights and values into what it computes with.  A network without one uses the nested learned steps of
/// fake_quant.h, fused into its normalisations; a method with another arithmetic (another granularity or symmetry, residual decomposition,
/// none at all) brings its own.  Must be callable from several threads at once.
class Quantizers {
 public:
  virtual ~Quantizers() = default;
  /// weight [O, I, K, K] or [O, I], already narrowed to the active filters; log_step [O] of the 8-bit code; bits 2..8.  Same shape.
  virtual torch::Tensor weights(int layer, const torch::Tensor& weight, const torch::Tensor& log_step, int bits) const = 0;
  /// value [N, C, H, W] behind layer `layer` (after its ReLU, if it has one).  Same shape.
  virtual torch::Tensor activations(int layer, const torch::Tensor& value, const ActivationQuantizer& quantizer) const = 0;
  /// What the optimiser moves beside the network's own parameters; names must not begin with "path.".
  virtual NamedTensors parameters() const { return {}; }
  /// After every optimiser step.
  virtual void constrain() {}
};

}  // namespace bitpilot
