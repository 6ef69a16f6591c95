#include "quant/guided.h"

#include <cmath>
#include <limits>

#include "quant/layer_tensors.h"
#include "runtime/core/integer.h"

namespace bitpilot {

using torch::Tensor;

namespace {

constexpr double kAverage = 0.9;  // of the gradients' norms over steps
constexpr double kFrozenWithin = 0.05, kNearWithin = 0.1;  // steps
constexpr int kLloydIterations = 10;
constexpr double kCaptured = 1.0 / 48;  // R below which a layer's weights have chosen their levels: a quarter of an even spread
constexpr double kEpsilon = 1e-12;

Tensor step_of(const Tensor& log_step, int bits) { return log_step.detach().exp() * static_cast<double>(1 << (8 - bits)); }

Tensor codes_of(const Tensor& weight, const Tensor& step, int bits) {
  return (weight / by_filter(step, weight)).clamp(integer::signed_lowest(bits), integer::signed_highest(bits)).round();
}

/// Distance to the nearest level in steps.
Tensor steps_away(const Tensor& weight, const Tensor& log_step, int bits) {
  return (weight - nearest_level(weight, log_step, bits)) / by_filter(step_of(log_step, bits), weight);
}

}  // namespace

Tensor nearest_level(const Tensor& weight, const Tensor& log_step, int bits) {
  const Tensor step = step_of(log_step, bits);
  return codes_of(weight, step, bits) * by_filter(step, weight);
}

double grid_distance(const Tensor& weight, const Tensor& log_step, int bits) {
  return steps_away(weight, log_step, bits).square().mean().item<double>();
}

Tensor grid_gradient(const Tensor& weight, const Tensor& log_step, int bits) {
  return steps_away(weight, log_step, bits) / by_filter(step_of(log_step, bits), weight) * (2.0 / static_cast<double>(weight.numel()));
}

void refit_steps(const Tensor& weight, const Tensor& log_step, int bits) {
  torch::NoGradGuard guard;
  const Tensor rows = weight.detach().flatten(1);
  Tensor step = step_of(log_step, bits);
  for (int i = 0; i < kLloydIterations; ++i) {
    const Tensor codes = codes_of(rows, step, bits);
    const Tensor product = (rows * codes).sum(1), square = codes.square().sum(1);
    step = torch::where(square > 0, product / square.clamp_min(1.0), step);
  }
  log_step.detach().copy_((step / static_cast<double>(1 << (8 - bits))).log());
}

GuidedTraining::GuidedTraining(QuantizedNetwork* network, const BitConfig& config, std::int64_t steps, GuidedOptions options)
    : parameters_(network->parameters()), steps_(steps), options_(options) {
  const int count = network->network().layer_count();
  layers_.resize(static_cast<std::size_t>(count));
  for (const auto& [name, tensor] : parameters_) before_.emplace_back(name, tensor.detach().clone());
  for (int l = 0; l < count; ++l) {
    Layer& layer = layers_[static_cast<std::size_t>(l)];
    layer.bits = config[static_cast<std::size_t>(l)].weight;
    layer.guided = !network->network().fixed(l);
    const std::string& name = network->network().layer(l).name;
    layer.weight = tensor_named(parameters_, name + ".weight");
    layer.log_step = tensor_named(parameters_, name + ".log_step");
  }
  norms_ = torch::zeros({count, 2});
  conflicts_ = torch::zeros({count, 2});
}

Tensor GuidedTraining::weights(int, const Tensor& weight, const Tensor&, int) const { return weight; }

Tensor GuidedTraining::activations(int, const Tensor& value, const ActivationQuantizer& quantizer) const {
  return rounds_activations_ ? quantize_activations(value, quantizer) : value;
}

double GuidedTraining::rho(std::int64_t step) const {
  const double at = static_cast<double>(step + 1) / static_cast<double>(steps_);
  return at <= options_.quiet ? 0.0 : options_.strength * (at - options_.quiet) / (1 - options_.quiet);
}

void GuidedTraining::keep() {
  for (std::size_t i = 0; i < parameters_.size(); ++i) before_[i].second.copy_(parameters_[i].second.detach());
}

bool GuidedTraining::freezes(std::int64_t step) const {
  return options_.strength > 0 && static_cast<double>(step) >= (1 - options_.freeze) * static_cast<double>(steps_);
}

void GuidedTraining::begin_step(std::int64_t step) {
  torch::NoGradGuard guard;
  rounds_activations_ = options_.strength > 0 && static_cast<double>(step) >= options_.activations_from * static_cast<double>(steps_);
  for (Layer& layer : layers_) {
    if (step == 0 && layer.guided) {
      const Tensor start = 2 * layer.weight.detach().abs().flatten(1).mean(1) / std::sqrt(integer::signed_highest(layer.bits));
      layer.log_step.detach().copy_((start.clamp_min(1e-8) / static_cast<double>(1 << (8 - layer.bits))).log());
    }
    if (step % options_.refit == 0 && !(layer.guided && freezes(step))) refit_steps(layer.weight, layer.log_step, layer.bits);
    if (!layer.guided || !freezes(step)) continue;
    // Frozen weights stand on their level exactly, so this finds them again on a resumed run.
    layer.level = nearest_level(layer.weight.detach(), layer.log_step, layer.bits);
    layer.frozen = steps_away(layer.weight.detach(), layer.log_step, layer.bits).abs() < kFrozenWithin;
    layer.weight.detach().copy_(torch::where(layer.frozen, layer.level, layer.weight.detach()));
  }
  if (rho(step) > 0 && (step == 0 || rho(step - 1) <= 0)) keep();
}

void GuidedTraining::constrain() {
  torch::NoGradGuard guard;
  for (Layer& layer : layers_)  // the optimiser's momentum has moved them
    if (layer.frozen.defined()) layer.weight.detach().copy_(torch::where(layer.frozen, layer.level, layer.weight.detach()));
}

void GuidedTraining::shape(std::int64_t step, const NamedTensors& parameters, std::vector<Tensor>* gradients) {
  torch::NoGradGuard guard;
  const double strength = rho(step);
  if (strength <= 0) return;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Layer& layer = layers_[l];
    if (!layer.guided) continue;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!parameters[i].second.is_same(layer.weight)) continue;
      Tensor& of_loss = (*gradients)[i];
      Tensor of_grid = grid_gradient(layer.weight.detach(), layer.log_step, layer.bits);
      Tensor free = of_loss;
      if (layer.frozen.defined()) free = torch::where(layer.frozen, torch::zeros_like(of_loss), of_loss);
      const double loss_norm = free.norm().item<double>(), grid_norm = of_grid.norm().item<double>();
      if (loss_norm > 0 && grid_norm > 0 && grid_distance(layer.weight.detach(), layer.log_step, layer.bits) > kCaptured) {
        conflicts_[static_cast<std::int64_t>(l)][0] += (free * of_grid).sum().item<double>() / (loss_norm * grid_norm);
        conflicts_[static_cast<std::int64_t>(l)][1] += 1;
      }
      float* average = norms_.data_ptr<float>() + 2 * l;
      const bool fresh = average[0] == 0 && average[1] == 0;
      average[0] = static_cast<float>(fresh ? loss_norm : kAverage * average[0] + (1 - kAverage) * loss_norm);
      average[1] = static_cast<float>(fresh ? grid_norm : kAverage * average[1] + (1 - kAverage) * grid_norm);
      of_loss += of_grid * (strength * average[0] / (average[1] + kEpsilon));
    }
  }
}

NamedTensors GuidedTraining::state() const {
  NamedTensors list{{"guided.norms", norms_}, {"guided.conflicts", conflicts_}};
  for (const auto& [name, tensor] : before_) list.emplace_back("guided.before." + name, tensor);
  return list;
}

std::vector<GuidedLayer> GuidedTraining::measure() const {
  torch::NoGradGuard guard;
  std::vector<GuidedLayer> result(layers_.size());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    if (!layer.guided) continue;
    const Tensor w = layer.weight.detach(), away = steps_away(w, layer.log_step, layer.bits);
    const double noise = (w - nearest_level(w, layer.log_step, layer.bits)).square().sum().item<double>();
    result[l].distance = away.square().mean().item<double>();
    result[l].near = (away.abs() < kNearWithin).to(torch::kDouble).mean().item<double>();
    result[l].sqnr_db = noise > 0 ? 10 * std::log10(w.square().sum().item<double>() / noise) : std::numeric_limits<double>::infinity();
    const float* sums = conflicts_.data_ptr<float>() + 2 * l;
    result[l].conflict = sums[1] > 0 ? sums[0] / sums[1] : 0;
  }
  return result;
}

void GuidedTraining::round_weights() {
  torch::NoGradGuard guard;
  for (Layer& layer : layers_) {
    if (!layer.guided) refit_steps(layer.weight, layer.log_step, layer.bits);
    layer.weight.detach().copy_(nearest_level(layer.weight.detach(), layer.log_step, layer.bits));
  }
}

}  // namespace bitpilot
