// The supernet as a differentiable function of the bit-widths: the environment's exact simulator.
#include <algorithm>
#include <cmath>

#include "quant/quantized_network.h"
#include "runtime/core/integer.h"

namespace bitpilot {

using torch::Tensor;

namespace {

/// How much of each of a ladder's rungs every picture takes, and which rungs have to be computed at all.
struct RungMix {
  Tensor shares;             ///< [N, K]
  std::vector<bool> needed;  ///< [K]
};

/// Coefficients of the ladder's rungs for fractional bits [N]: [N, K], two neighbours non-zero, differentiable in `bits`.
Tensor rung_weights(const Tensor& bits, const std::vector<int>& ladder) {
  const auto rungs = static_cast<std::int64_t>(ladder.size());
  std::vector<Tensor> columns(ladder.size());
  for (Tensor& column : columns) column = torch::zeros_like(bits);
  if (rungs == 1) return torch::ones({bits.size(0), 1});
  const Tensor inside = bits.clamp(ladder.front(), ladder.back());
  for (std::int64_t k = 0; k + 1 < rungs; ++k) {
    const double low = ladder[static_cast<std::size_t>(k)], high = ladder[static_cast<std::size_t>(k + 1)];
    // The last interval is closed above, all others are half open: a rung belongs to the interval that it begins.
    const Tensor here = ((inside.detach() >= low) & (k + 2 == rungs ? inside.detach() <= high : inside.detach() < high)).to(torch::kFloat);
    const Tensor share = (inside - low) / (high - low);
    columns[k] = columns[k] + here * (1 - share);
    columns[k + 1] = columns[k + 1] + here * share;
  }
  return torch::stack(columns, 1);
}

/// A rung that no picture leans on, not even with an infinitely small share, need not be computed.
bool needed(const Tensor& weights, const Tensor& bits, const std::vector<int>& ladder, std::size_t k) {
  if ((weights.detach().select(1, static_cast<std::int64_t>(k)) > 0).any().item<bool>()) return true;
  // On a rung exactly, its upper neighbour (or, at the top, its lower one) carries the gradient.
  const auto at = [&](int rung) { return (bits.detach().clamp(ladder.front(), ladder.back()) == rung).any().item<bool>(); };
  if (k > 0 && at(ladder[k - 1])) return true;
  return k + 2 == ladder.size() && at(ladder[k + 1]);
}

/// Of bits [N] between rungs, or of shares [N, R] given outright: their gradients ask for every rung, also those without a share.
RungMix rung_mix(const Tensor& given, const std::vector<int>& ladder) {
  RungMix mix;
  if (given.dim() == 1) {
    mix.shares = rung_weights(given, ladder);
    for (std::size_t k = 0; k < ladder.size(); ++k) mix.needed.push_back(needed(mix.shares, given, ladder, k));
  } else {
    mix.shares = given.narrow(1, 0, static_cast<std::int64_t>(ladder.size()));
    for (std::size_t k = 0; k < ladder.size(); ++k)
      mix.needed.push_back(given.requires_grad() || (given.select(1, static_cast<std::int64_t>(k)) > 0).any().item<bool>());
  }
  return mix;
}

Tensor per_picture(const Tensor& weights, std::size_t k) { return weights.select(1, static_cast<std::int64_t>(k)).view({-1, 1, 1, 1}); }

}  // namespace

Tensor QuantizedNetwork::forward_fractional(int path_index, const Tensor& stem_value, const Tensor& bits) {
  const Path& path = paths_[path_index];
  const BitConfig& config = specs_[path_index].config;
  std::vector<Produced> produced(steps_.size());
  const int stem_active = network_.active_out(0, config, space_);
  produced[0].value = stem_value.narrow(1, 0, stem_active).detach().contiguous(at::MemoryFormat::ChannelsLast);

  for (std::size_t s = 1; s < steps_.size(); ++s) {
    const FusedStep& step = steps_[s];
    const int layer = step.layer;
    const Node& node = network_.layer(layer);
    const FusedStep& source = steps_[step.source];
    const std::vector<int>& ladder = space_.layers[layer].bits;
    const RungMix weights = rung_mix(bits.select(1, layer).select(1, 0), ladder), activations = rung_mix(bits.select(1, layer).select(1, 1), ladder);

    const ValueQuantizer& quantizer = path.quantizers[path.quantizer_of[layer]];
    Tensor src;
    for (std::size_t k = 0; k < ladder.size(); ++k) {
      if (!activations.needed[k]) continue;
      // Borrowed steps cover the same range at every bit-width.
      const double ratio = static_cast<double>(integer::unsigned_highest(quantizer.bits)) / integer::unsigned_highest(ladder[k]);
      const Tensor rounded = quantize_activations(produced[step.source].value, {quantizer.log_step.detach() + std::log(ratio), ladder[k], !source.relu});
      const Tensor part = rounded * per_picture(activations.shares, k);
      src = src.defined() ? src + part : part;
    }
    if (source.pool_node >= 0 && network_.nodes[source.pool_node].op == Op::kGlobalAvgPool) src = src.mean({2, 3}, /*keepdim=*/true);

    BitConfig rung = config;
    Tensor z;
    const int groups = network_.depthwise(layer) ? static_cast<int>(src.size(1)) : node.groups;
    for (std::size_t k = 0; k < ladder.size(); ++k) {
      if (!weights.needed[k]) continue;
      rung[layer].weight = ladder[k];
      const Tensor weight = layer_weight(layer, rung, /*quantizers=*/nullptr).detach();
      Tensor part = node.op == Op::kLinear ? torch::linear(src.flatten(1), weight).unsqueeze(-1).unsqueeze(-1)
                                           : torch::conv2d(src, weight, {}, node.stride, node.padding, 1, groups);
      part = part * per_picture(weights.shares, k);
      z = z.defined() ? z + part : part;
    }
    const PathLayer& norm = path.layers[layer];
    if (layer == network_.layer_count() - 1) return z.flatten(1) * norm.gamma.detach() + norm.beta.detach();
    const Tensor residual = step.add_operand >= 0 ? produced[step.add_operand].value : Tensor();
    produced[s].value = normalize_quantize(z, norm.gamma.detach(), norm.beta.detach(), {norm.mean, norm.variance, /*training=*/false, 0},
                                           residual, step.relu, /*want_value=*/true, {})
                            .value;
    if (step.pool_node >= 0 && network_.nodes[step.pool_node].op == Op::kMaxPool) finish_step(step, &produced[s]);
  }
  return {};
}

}  // namespace bitpilot
