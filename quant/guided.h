#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "quant/quantized_network.h"

namespace bitpilot {

/// Quantisation-guided training: no weight is rounded in the forward pass; a regulariser pulls the weights of each layer to the levels of
/// their grid, so that rounding them at the end costs little.  Where the pull and the loss cannot agree stands a bottleneck.
///   R_l      = 1/n sum ((w - Q(w)) / s)^2,  Q(w) = s * clamp(rne(w / s), lowest, highest), no gradient through Q
///   pull     = rho(t) * |grad loss| / |grad R_l| * grad R_l, both norms averaged over steps (0.9); rho is 0 first, then rises linearly
/// A step s belongs to one filter (the engine's scales do too); it is 2^(8 - bits) steps of the 8-bit code that the network stores.
/// Source    Quantization-Guided Training, arXiv:2103.06231, of which only the abstract was readable: the formulas are ours, in the family
///           of quantisation-error regularisers (SYMOG, arXiv:2002.08204).

/// Q(w) of each weight, [O, …] as `weight`; log_step [O] of the 8-bit code; bits 2..8.
torch::Tensor nearest_level(const torch::Tensor& weight, const torch::Tensor& log_step, int bits);
/// R of one layer: 0 on the grid, 1/12 for weights that spread evenly between levels, at most 1/4 inside the range.
double grid_distance(const torch::Tensor& weight, const torch::Tensor& log_step, int bits);
/// dR/dw = 2 (w - Q(w)) / (n s^2), as `weight`.
torch::Tensor grid_gradient(const torch::Tensor& weight, const torch::Tensor& log_step, int bits);
/// Ten Lloyd iterations from the present step: k = clamp(rne(w / s)), s = sum(w k) / sum(k^2) of each filter.  A filter whose codes are all
/// zero keeps its step.
void refit_steps(const torch::Tensor& weight, const torch::Tensor& log_step, int bits);

struct GuidedOptions {
  double strength = 1;            ///< rho at the last step, 0..3; 0: a float training, bit for bit
  double quiet = 0.2;             ///< share of the steps before rho leaves 0, [0, 1)
  double activations_from = 0.6;  ///< share of the steps before activations are rounded (learned steps), 0..1
  double freeze = 0.1;            ///< share of the steps, at the end, in which a weight near its level is put on it and stays, 0..1
  int refit = 100;                ///< steps between refits of the grid, at least 1
};

/// What one layer was like when training ended (or `conflict`: on the way).
struct GuidedLayer {
  double distance = 0;  ///< R
  double near = 0;      ///< share of the weights within a tenth of a step of their level
  double sqnr_db = 0;   ///< signal over rounding noise; infinite where every weight stands on its level exactly
  double conflict = 0;  ///< cosine of (grad loss, grad R), mean over the steps in which the pull acts and R is above 1/48: later the
                        ///< weights stand on their levels, where the pull has no direction of its own.  0: there were no such steps
};

/// The one arithmetic and the one regulariser of a guided training: weights pass unrounded, activations are rounded from a share of the steps
/// on, the rest happens to the gradients.  Everything is a function of the step and of what checkpoints hold: the network's tensors and state().
class GuidedTraining : public Quantizers {
 public:
  /// `config` tells each layer's bits; stem and classifier are not guided (8 bits lose nothing).  `network` must outlive this.
  GuidedTraining(QuantizedNetwork* network, const BitConfig& config, std::int64_t steps, GuidedOptions options);

  torch::Tensor weights(int layer, const torch::Tensor& weight, const torch::Tensor& log_step, int bits) const override;
  torch::Tensor activations(int layer, const torch::Tensor& value, const ActivationQuantizer& quantizer) const override;
  void constrain() override;

  /// Before a step: refits the grid, freezes, switches the activations.
  void begin_step(std::int64_t step);
  /// Adds the pull to a step's gradients (a GradientHook).
  void shape(std::int64_t step, const NamedTensors& parameters, std::vector<torch::Tensor>* gradients);
  NamedTensors state() const;
  /// Copies of the network's parameters, in its order, as they stood before the first step that pulls (without a pull: at the start): not
  /// moved to the grid yet, but trained for the share `quiet` of the steps only, with rounded activations if `activations_from` is below it.
  const NamedTensors& before_pull() const { return before_; }

  /// [layer]; guided layers only carry figures.
  std::vector<GuidedLayer> measure() const;
  /// Every weight becomes the code that it stands nearest to, stem and classifier too.
  void round_weights();

 private:
  struct Layer {
    torch::Tensor weight, log_step;
    int bits = 8;
    bool guided = false;
    torch::Tensor frozen, level;  // bool and value of each weight; undefined before the freeze
  };
  double rho(std::int64_t step) const;
  void keep();
  bool freezes(std::int64_t step) const;

  std::vector<Layer> layers_;
  NamedTensors parameters_, before_;
  std::int64_t steps_;
  GuidedOptions options_;
  bool rounds_activations_ = false;
  torch::Tensor norms_;      // [layers, 2] averaged norms of grad loss and grad R; 0 before the first pull
  torch::Tensor conflicts_;  // [layers, 2] sum of cosines, and how many
};

}  // namespace bitpilot
