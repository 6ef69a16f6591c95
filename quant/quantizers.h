#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "quant/fake_quant.h"
#include "runtime/core/bit_width.h"

namespace bitpilot {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Weights of one layer as the integers that a pass computes with:  value = step * (g * code + h), (g, h) as integer::accumulator_form
/// gives them for the symmetry, the width and the zero point.
struct WeightCodes {
  Form form;
  int zero_point = 0;   ///< asymmetric Forms only
  torch::Tensor codes;  ///< int8, as the weight, inside the range of their width
  torch::Tensor step;   ///< [O], > 0
};

/// How a pass turns latent weights and values into what it computes with.  A network without one uses the nested learned steps of
/// fake_quant.h, fused into its normalisations; a method with another arithmetic (another granularity or symmetry, residual decomposition,
/// none at all) brings its own.  Must be callable from several threads at once.
class Quantizers {
 public:
  virtual ~Quantizers() = default;
  /// weight [O, I, K, K] or [O, I], already narrowed to the active filters; log_step [O] of the 8-bit code; bits 2..8.  Same shape.
  virtual torch::Tensor weights(int layer, const torch::Tensor& weight, const torch::Tensor& log_step, int bits) const = 0;
  /// weight and bits as above: what weights() decodes to.  nullopt: the network's own nested codes, of which one file holds every width.
  virtual std::optional<WeightCodes> codes(int layer, const torch::Tensor& weight, int bits) const {
    static_cast<void>(layer), static_cast<void>(weight), static_cast<void>(bits);
    return std::nullopt;
  }
  /// False: activations are rounded by the network's learned steps, fused into its normalisations; activations() is not asked.
  virtual bool own_activations() const { return true; }
  /// value [N, C, H, W] behind layer `layer` (after its ReLU, if it has one).  Same shape.
  virtual torch::Tensor activations(int layer, const torch::Tensor& value, const ActivationQuantizer& quantizer) const = 0;
  /// What the optimiser moves beside the network's own parameters; names must not begin with "path.".
  virtual NamedTensors parameters() const { return {}; }
  /// After every optimiser step.
  virtual void constrain() {}
};

}  // namespace bitpilot
