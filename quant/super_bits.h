#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "quant/quantized_network.h"
#include "runtime/core/cost.h"

namespace bitpilot {

/// Bit-widths learned by gates on one residual decomposition, and whole filter groups pruned with them (0 bits), all in one training that
/// pays for its bit operations.
///   z_2 = D(z, s_2),  eps_4 = D(z - z_2, s_4),  z_4 = z_2 + eps_4,  eps_8 = D(z - z_4, s_8),  z_8 = z_4 + eps_8
///   D(z, s) = s * rne(z / s),  s_b = 1 / (2^b - 1),  z in [0, 1];  z_b = D(z, s_b) but for ties, because 2^(2b) - 1 = (2^b - 1)(2^b + 1)
///   z^ = z_2 + g_4 * (eps_4 + g_8 * eps_8)
///   activations  x^ = v z^(clip(x / v, 0, 1));   weights  w^ = v (2 z^((clip(w / v, -1, 1) + 1) / 2) - 1): a grid without zero
///   gates        g_4 = 1(A_2 / A0_2 > alpha_4), g_8 = 1(A_4 / A0_4 > alpha_8), A_b = mean (z - z_b)^2, A0_b = s_b^2 / 12
///   pruning      p_c = 1(N_c / mean N > alpha_p) of a group c of filters, N_c = mean |w| in it; p_c multiplies what the group hands on
///   objective    loss + lambda * log(BOPs)
/// Source    Automatic Bit Sharing, arXiv:2101.04935 (later: Single-path Bit Sharing).  What differs: thresholds live in units of A0 and
///           of the layer's mean norm, with a sigmoid of temperature 1 behind the gate (0.2 behind pruning) instead of sigmoid(A - alpha),
///           because A is 1e-2 to 1e-5; an A0 temperature of 0.1 starves open gates of gradient.  Weights are not standardised; v is the
///           clip that the network's own learned steps stand for, one a filter and one a value, so nothing is learned twice.  Two layers
///           that read one value share its gates; only thresholds learn from norms and price, not the weights behind them.  A of activations is an average over steps, and p multiplies behind the normalisation
///           (before it, a filter's scale has no effect).  The cost is MACs x w x a of runtime/core/cost.h, not the source's
///           MACs x (w a + w + a + log2(Ci k^2)).

/// The parts of z in [0, 1].
struct Residuals {
  torch::Tensor two, four, eight;  ///< z_2, eps_4, eps_8
};
Residuals decompose(const torch::Tensor& z);
/// 2, 4 or 8: eight bits only where four are open too.
int gated_bits(bool four, bool eight);

std::vector<int> super_bit_ladder();  ///< {2, 4, 8}

struct SuperBitOptions {
  std::vector<int> ladder = super_bit_ladder();  ///< the only one that decomposes exactly and is offered
  double lambda = 0.01;              ///< price of the logarithm of the bit operations, 0..10
  double rate = 10;                  ///< thresholds move so many times as fast as weights, 0.01..1000
  double most_pruned = 0.5;          ///< share of a layer's filter groups that may be pruned, 0..1 (one group always stays)
  bool original_gates = false;       ///< sigmoid(A - alpha), unscaled thresholds
  bool two_stage = false;            ///< the control: filters are pruned in the first half of the steps, bits learned in the second
};

/// Throws Error(kData) on another ladder, and where an adaptive layer of `network` reads a value without a ReLU (its codes would need a sign).
void check_super_bits(const Network& network, const SuperBitOptions& options);

/// The arithmetic and the cost of the search; its thresholds are what the optimiser moves.  One path, trained by one thread at a time.
class SuperBits : public Quantizers {
 public:
  /// `network` must outlive this and pass check_super_bits.
  SuperBits(QuantizedNetwork* network, std::int64_t steps, SuperBitOptions options);

  torch::Tensor weights(int layer, const torch::Tensor& weight, const torch::Tensor& log_step, int bits) const override;
  torch::Tensor activations(int layer, const torch::Tensor& value, const ActivationQuantizer& quantizer) const override;
  NamedTensors parameters() const override;
  /// Thresholds stay where gates can still change, and prune no more than allowed.
  void constrain() override;

  /// Adds the price to a step's gradients and lets the thresholds learn in turns (a GradientHook): weights and filters on even steps,
  /// activations on odd ones.
  void shape(std::int64_t step, const NamedTensors& parameters, std::vector<torch::Tensor>* gradients) const;
  /// log(BOPs) of the network as its gates stand, f64; differentiable in the thresholds of weights and filters, or in those of activations.
  torch::Tensor log_bops(bool of_weights) const;
  NamedTensors state() const { return {{"abs.distances", distances_}, {"abs.votes", votes_}}; }

  /// What most of the last steps' gates say: where loss and price balance, a gate opens and closes to the end, and one moment of it is
  /// chance.  Steps are those of shape(); before the first one, what the gates say now.  Kept groups count as the first ones: move them
  /// there with `order` (quant/filter_order).
  BitConfig found() const;
  /// [layer] filters, those of kept groups first.
  std::vector<torch::Tensor> order() const;

 private:
  struct Layer {
    torch::Tensor weight, log_step;
    bool adaptive = false;   ///< its weights have gates
    bool gated = false;      ///< the value behind it has gates: all its readers are adaptive
    bool prunable = false;   ///< shares its filters with no other layer
    int groups = 1;
    int reads = -1;          ///< layer whose value it reads, -1: the picture
    int in_channels_of = -1; ///< layer whose filters are its input channels
  };
  struct Gates {
    torch::Tensor four, eight;
  };
  Gates gates(const torch::Tensor& thresholds, int layer, const torch::Tensor& after_two, const torch::Tensor& after_four) const;
  Gates weight_gates(int layer, const torch::Tensor& z, const Residuals& parts) const;
  Gates weight_gates(int layer) const;
  Gates value_gates(int layer) const;
  torch::Tensor group_norms(int layer) const;   ///< [groups] of mean 1
  torch::Tensor kept_groups(int layer) const;   ///< [groups] 0 or 1, differentiable in the threshold
  torch::Tensor kept_channels(int layer) const; ///< [out]
  double distance_unit(int bits) const;
  std::int64_t most_pruned(int layer) const;    ///< groups
  bool reads_gated(const Layer& layer) const { return layer.reads >= 0 && layers_[static_cast<std::size_t>(layer.reads)].gated; }
  torch::Tensor open_now() const;               ///< [layers, 4 + groups] 0 or 1: g_4, g_4 g_8 of weights, of the value read, groups kept
  torch::Tensor votes() const;                  ///< [layers, 4 + groups] share of the last steps

  const Network network_;
  const BitSpace space_;
  const CostTable bops_;
  std::int64_t steps_;
  SuperBitOptions options_;
  std::vector<Layer> layers_;
  torch::Tensor of_weights_, of_values_;  ///< [layers, 2] thresholds of g_4 and g_8 over `rate`
  torch::Tensor of_filters_;              ///< [layers] of pruning
  mutable torch::Tensor distances_;       ///< [layers, 2] A_2 and A_4 of each value, averaged over steps
  mutable torch::Tensor votes_;           ///< open_now(), averaged over the last tenth of the steps; -1 before the first
};

}  // namespace bitpilot
