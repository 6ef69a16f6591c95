#include "quant/super_bits.h"

#include <algorithm>
#include <cmath>

#include "quant/fused_kernels.h"
#include "quant/layer_tensors.h"
#include "runtime/core/error.h"
#include "runtime/core/fusion.h"
#include "runtime/core/integer.h"

namespace bitpilot {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

namespace {

constexpr double kGateTemperature = 1, kPruneTemperature = 0.2;
constexpr double kFarthest = 3.5;   // of A / A0, which is at most 3
constexpr double kAverage = 0.9;    // of the values' distances over steps
constexpr double kVoting = 0.1;     // of all steps: how long a gate's state is remembered
constexpr int kGates = 4;           // columns of votes before the groups

double code_step(int bits) { return 1.0 / integer::unsigned_highest(bits); }
Tensor rounded(const Tensor& z, int bits) { return (z * integer::unsigned_highest(bits)).round() * code_step(bits); }

/// 1 where `distance` is above the threshold, else 0; its derivative is that of sigmoid((distance - threshold) / temperature).
Tensor gate(const Tensor& distance, const Tensor& threshold, double temperature) {
  const Tensor soft = torch::sigmoid((distance - threshold) / temperature);
  return (distance > threshold).to(torch::kDouble).detach() + (soft - soft.detach());
}

/// z of weights: the middle of [-v, v] is 1/2.
Tensor weight_position(const Tensor& weight, const Tensor& clip) { return ((weight / clip).clamp(-1, 1) + 1) / 2; }
/// v of weights: where the range of the network's own codes ends.
Tensor weight_clip(const Tensor& log_step, const Tensor& weight) { return by_filter(log_step.exp() * 128, weight); }

/// Values with gates and clip; what is left behind two and four bits is written to `errors`.
struct ResidualValue : torch::autograd::Function<ResidualValue> {
  static Tensor forward(AutogradContext* ctx, const Tensor& value, const Tensor& clip, const Tensor& four, const Tensor& eight, const Tensor& errors) {
    const Tensor src = value.contiguous(value.suggest_memory_format());
    const fused::ResidualGates gates{clip.item<float>(), four.item<float>(), eight.item<float>()};
    Tensor dst = torch::empty_like(src);
    const fused::ResidualErrors left = fused::residual_quantize(src.data_ptr<float>(), src.numel(), gates, dst.data_ptr<float>());
    errors[0] = left.two;
    errors[1] = left.four;
    ctx->save_for_backward({src});
    ctx->saved_data["gates"] = std::vector<double>{gates.clip, gates.four, gates.eight};
    return dst;
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const Tensor src = ctx->get_saved_variables()[0];
    const std::vector<double> kept = ctx->saved_data["gates"].toDoubleVector();
    const fused::ResidualGates gates{static_cast<float>(kept[0]), static_cast<float>(kept[1]), static_cast<float>(kept[2])};
    const Tensor grad = grads[0].contiguous(src.suggest_memory_format());
    Tensor grad_src = torch::empty_like(src);
    const fused::ResidualGradients sum =
        fused::residual_quantize_backward(src.data_ptr<float>(), grad.data_ptr<float>(), src.numel(), gates, grad_src.data_ptr<float>());
    return {grad_src, torch::full({1}, sum.clip), torch::scalar_tensor(sum.four, torch::kDouble), torch::scalar_tensor(sum.eight, torch::kDouble), Tensor()};
  }
};

}  // namespace

Residuals decompose(const Tensor& z) {
  const Tensor two = rounded(z, 2), four = rounded(z - two, 4);
  return {two, four, rounded(z - two - four, 8)};
}

int gated_bits(bool four, bool eight) { return !four ? 2 : eight ? 8 : 4; }

std::vector<int> super_bit_ladder() { return {2, 4, 8}; }

void check_super_bits(const Network& network, const SuperBitOptions& options) {
  if (options.ladder != super_bit_ladder())
    throw Error(ExitCode::kData, "a ladder of bit-widths whose coarse levels do not lie on the fine ones", "abs, ladder",
                "take [2, 4, 8]: each width must be twice the one before");
  for (const FusedStep& step : fuse(network)) {
    const bool gated = !step.readers.empty() && std::none_of(step.readers.begin(), step.readers.end(), [&](int reader) { return network.fixed(reader); });
    if (gated && !step.relu)
      throw Error(ExitCode::kData, "the value of a layer has no ReLU behind, its codes would need a sign",
                  "abs, backbone " + network.name + ", " + network.layer(step.layer).name,
                  "take a backbone whose values are all rectified, as resnet8 or ds_cnn");
  }
}

SuperBits::SuperBits(QuantizedNetwork* network, std::int64_t steps, SuperBitOptions options)
    : network_(network->network()), space_(network->space()), bops_(bops_table(network_, space_)), steps_(steps), options_(std::move(options)) {
  check_super_bits(network_, options_);
  const int count = network_.layer_count();
  layers_.resize(static_cast<std::size_t>(count));
  const std::vector<int>& groups = network_.width_groups();
  for (const FusedStep& step : fuse(network_)) {
    bool all = !step.readers.empty();
    for (const int reader : step.readers) {
      layers_[reader].reads = step.layer;
      all = all && !network_.fixed(reader);
    }
    layers_[step.layer].gated = all;
  }
  const NamedTensors parameters = network->parameters();
  for (int l = 0; l < count; ++l) {
    Layer& layer = layers_[static_cast<std::size_t>(l)];
    layer.adaptive = !network_.fixed(l);
    layer.groups = space_.layers[l].blocks;
    layer.prunable = layer.adaptive && layer.groups > 1 && std::count(groups.begin(), groups.end(), groups[l]) == 1;
    layer.in_channels_of = network_.depthwise(l) ? -1 : network_.channel_source(network_.layer(l).inputs[0]);
    layer.weight = tensor_named(parameters, network_.layer(l).name + ".weight");
    layer.log_step = tensor_named(parameters, network_.layer(l).name + ".log_step");
  }
  of_weights_ = torch::zeros({count, 2}, torch::requires_grad());
  of_values_ = torch::zeros({count, 2}, torch::requires_grad());
  of_filters_ = torch::zeros({count}, torch::requires_grad());
  distances_ = torch::empty({count, 2});
  for (const int k : {0, 1}) distances_.select(1, k).fill_(code_step(k == 0 ? 2 : 4) * code_step(k == 0 ? 2 : 4) / 12);
  int most = 0;
  for (const Layer& layer : layers_) most = std::max(most, layer.groups);
  votes_ = torch::full({count, kGates + most}, -1.0F);
}

double SuperBits::distance_unit(int bits) const { return options_.original_gates ? 1 : code_step(bits) * code_step(bits) / 12; }

SuperBits::Gates SuperBits::gates(const Tensor& thresholds, int layer, const Tensor& after_two, const Tensor& after_four) const {
  const Tensor alpha = thresholds.select(0, layer).to(torch::kDouble) * (options_.original_gates ? 1 : options_.rate);
  return {gate(after_two.to(torch::kDouble) / distance_unit(2), alpha[0], kGateTemperature),
          gate(after_four.to(torch::kDouble) / distance_unit(4), alpha[1], kGateTemperature)};
}

SuperBits::Gates SuperBits::weight_gates(int layer, const Tensor& z, const Residuals& parts) const {
  return gates(of_weights_, layer, (z - parts.two).square().mean(), (z - parts.two - parts.four).square().mean());
}

SuperBits::Gates SuperBits::weight_gates(int layer) const {
  const Layer& of = layers_[static_cast<std::size_t>(layer)];
  const Tensor w = of.weight.detach(), z = weight_position(w, weight_clip(of.log_step.detach(), w));
  return weight_gates(layer, z, decompose(z));
}

SuperBits::Gates SuperBits::value_gates(int layer) const {
  return gates(of_values_, layer, distances_[layer][0], distances_[layer][1]);
}

Tensor SuperBits::weights(int layer, const Tensor& weight, const Tensor& log_step, int bits) const {
  if (!layers_[static_cast<std::size_t>(layer)].adaptive) return quantize_weights(weight, log_step, bits);
  const Tensor clip = weight_clip(log_step, weight), z = weight_position(weight, clip);
  const Residuals parts = decompose(z.detach());
  const Gates open = weight_gates(layer, z, parts);
  const Tensor sum = z + (parts.two - z).detach() + open.four.to(torch::kFloat) * (parts.four + open.eight.to(torch::kFloat) * parts.eight);
  return clip * (2 * sum - 1);
}

Tensor SuperBits::activations(int layer, const Tensor& value, const ActivationQuantizer& quantizer) const {
  const Layer& of = layers_[static_cast<std::size_t>(layer)];
  const Tensor src = of.prunable ? value * kept_channels(layer).to(torch::kFloat).view({1, -1, 1, 1}) : value;
  if (!of.gated) return quantize_activations(src, quantizer);
  const Gates open = value_gates(layer);
  const Tensor errors = torch::empty({2});
  const Tensor result = ResidualValue::apply(src, quantizer.log_step.exp() * integer::unsigned_highest(quantizer.bits), open.four, open.eight, errors);
  if (torch::GradMode::is_enabled()) distances_[layer].mul_(kAverage).add_(errors, 1 - kAverage);
  return result;
}

NamedTensors SuperBits::parameters() const {
  return {{"abs.weights", of_weights_}, {"abs.values", of_values_}, {"abs.filters", of_filters_}};
}

Tensor SuperBits::group_norms(int layer) const {
  const Layer& of = layers_[static_cast<std::size_t>(layer)];
  const Tensor filters = of.weight.detach().abs().flatten(1).mean(1).to(torch::kDouble);
  std::vector<Tensor> norms;
  for (std::int64_t at = 0; at < filters.size(0); at += space_.block)
    norms.push_back(filters.narrow(0, at, std::min<std::int64_t>(space_.block, filters.size(0) - at)).mean());
  const Tensor all = torch::stack(norms);
  return all / all.mean().clamp_min(1e-12);
}

Tensor SuperBits::kept_groups(int layer) const {
  const Tensor threshold = of_filters_[layer].to(torch::kDouble) * options_.rate;
  return gate(group_norms(layer), threshold, kPruneTemperature);
}

Tensor SuperBits::kept_channels(int layer) const {
  return kept_groups(layer).repeat_interleave(space_.block).narrow(0, 0, network_.layer(layer).shape.channels);
}

std::int64_t SuperBits::most_pruned(int layer) const {
  const int groups = layers_[static_cast<std::size_t>(layer)].groups;
  return std::min<std::int64_t>(groups - 1, static_cast<std::int64_t>(options_.most_pruned * groups));
}

void SuperBits::constrain() {
  torch::NoGradGuard guard;
  for (Tensor* thresholds : {&of_weights_, &of_values_}) {
    Tensor t = thresholds->detach();
    t.clamp_min_(0);
    for (const int k : {0, 1})
      t.select(1, k).clamp_max_(options_.original_gates ? kFarthest * code_step(k == 0 ? 2 : 4) * code_step(k == 0 ? 2 : 4) / 12 : kFarthest / options_.rate);
  }
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    if (!layers_[l].prunable) continue;
    const auto layer = static_cast<int>(l);
    // The group that must stay stands just above the greatest threshold.
    const double limit = std::get<0>(group_norms(layer).sort())[most_pruned(layer)].item<double>() * (1 - 1e-6) / options_.rate;
    of_filters_.detach()[layer].clamp_(0, limit);
  }
}

Tensor SuperBits::log_bops(bool of_weights) const {
  Tensor total = torch::zeros({}, torch::kDouble);
  const auto value = [](const Tensor& open) { return open.item<double>() > 0.5; };
  const auto hard = [&](const Gates& open) { return gated_bits(value(open.four), value(open.eight)); };
  const auto kept_share = [&](int layer) {
    if (layer < 0 || !layers_[static_cast<std::size_t>(layer)].prunable) return torch::ones({}, torch::kDouble);
    const Tensor share = kept_channels(layer).mean();
    return of_weights ? share : share.detach();
  };
  for (int l = 0; l < network_.layer_count(); ++l) {
    const Layer& of = layers_[static_cast<std::size_t>(l)];
    const int blocks = space_.layers[l].blocks;
    Tensor cost = torch::full({}, bops_.at(l, 8, 8, blocks), torch::kDouble);
    if (of.adaptive) {
      const bool gated = reads_gated(of);
      const Gates w = weight_gates(l), a = gated ? value_gates(of.reads) : Gates{};
      const int weight_bits = hard(w), value_bits = gated ? hard(a) : 8;
      const auto at = [&](int bits) { return of_weights ? bops_.at(l, bits, value_bits, blocks) : bops_.at(l, weight_bits, bits, blocks); };
      if (of_weights || gated) {
        const Gates& open = of_weights ? w : a;
        cost = at(2) + open.four * (at(4) - at(2)) + open.four * open.eight * (at(8) - at(4));
      } else {
        cost = torch::full({}, at(value_bits), torch::kDouble);
      }
    }
    total = total + cost * kept_share(l) * kept_share(of.in_channels_of);
  }
  return total.log();
}

void SuperBits::shape(std::int64_t step, const NamedTensors& parameters, std::vector<Tensor>* gradients) const {
  const bool quantises = !options_.two_stage || step >= steps_ / 2, prunes = !options_.two_stage || !quantises;
  const bool of_weights = !quantises || step % 2 == 0;
  const std::vector<Tensor> thresholds{of_weights_, of_values_, of_filters_};
  const Tensor now = open_now();
  if (votes_[0][0].item<float>() < 0) votes_.copy_(now);
  else votes_.lerp_(now, 1 / std::max(1.0, kVoting * static_cast<double>(steps_)));
  const tensor_list priced = torch::autograd::grad({log_bops(of_weights) * options_.lambda}, thresholds, {}, false, false, /*allow_unused=*/true);
  const bool learns[] = {quantises && of_weights, quantises && !of_weights, prunes && of_weights};
  for (std::size_t i = 0; i < parameters.size(); ++i)
    for (std::size_t t = 0; t < thresholds.size(); ++t) {
      if (!parameters[i].second.is_same(thresholds[t])) continue;
      Tensor& gradient = (*gradients)[i];
      if (!learns[t]) gradient = Tensor();
      else if (priced[t].defined()) gradient = gradient.defined() ? gradient + priced[t] : priced[t];
    }
}

Tensor SuperBits::open_now() const {
  torch::NoGradGuard guard;
  Tensor open = torch::ones_like(votes_);
  for (int l = 0; l < network_.layer_count(); ++l) {
    const Layer& of = layers_[static_cast<std::size_t>(l)];
    if (!of.adaptive) continue;
    const auto tell = [&](const Gates& gates, int column) {
      open[l][column] = gates.four;
      open[l][column + 1] = gates.four * gates.eight;
    };
    tell(weight_gates(l), 0);
    if (reads_gated(of)) tell(value_gates(of.reads), 2);
    if (of.prunable) open[l].narrow(0, kGates, of.groups).copy_(kept_groups(l));
  }
  return open;
}

Tensor SuperBits::votes() const { return votes_[0][0].item<float>() < 0 ? open_now() : votes_; }

BitConfig SuperBits::found() const {
  BitConfig config = uniform_config(space_, 8, 8);
  const Tensor shares = votes();
  const auto share = [&](int layer, int column) { return shares[layer][column].item<float>(); };
  const auto bits = [&](int layer, int column) { return gated_bits(share(layer, column) > 0.5F, share(layer, column + 1) > 0.5F); };
  for (int l = 0; l < network_.layer_count(); ++l) {
    const Layer& of = layers_[static_cast<std::size_t>(l)];
    if (!of.adaptive) continue;
    config[l].weight = bits(l, 0);
    if (reads_gated(of)) config[l].activation = bits(l, 2);
    const auto kept = (shares[l].narrow(0, kGates, of.groups) > 0.5).sum().item<std::int64_t>();
    // Groups that take turns may all be below one half.
    if (of.prunable) config[l].active_blocks = static_cast<int>(std::max<std::int64_t>(kept, of.groups - most_pruned(l)));
  }
  return config;
}

std::vector<Tensor> SuperBits::order() const {
  const Tensor shares = votes();
  std::vector<Tensor> orders;
  for (int l = 0; l < network_.layer_count(); ++l) {
    const std::int64_t out = network_.layer(l).shape.channels;
    const Layer& of = layers_[static_cast<std::size_t>(l)];
    const Tensor kept = shares[l].narrow(0, kGates, of.groups).repeat_interleave(space_.block).narrow(0, 0, out);
    orders.push_back(of.prunable ? torch::argsort(kept, /*stable=*/true, 0, /*descending=*/true) : torch::arange(out));
  }
  return orders;
}

}  // namespace bitpilot
