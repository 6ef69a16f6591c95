#include "quant/quantized_network.h"

#include <cmath>

#include "runtime/core/error.h"
#include "runtime/core/random.h"

namespace bitpilot {

using torch::Tensor;

namespace {

Tensor channels_last(const Tensor& t) { return t.contiguous(at::MemoryFormat::ChannelsLast); }

Tensor parameter(Tensor t) { return t.set_requires_grad(true); }

// The first `channels` channels, laid out for the convolutions.
Tensor narrow_channels(const Tensor& t, int channels) {
  return t.size(1) == channels ? t : channels_last(t.narrow(1, 0, channels));
}

}  // namespace

QuantizedNetwork::QuantizedNetwork(const Network& network, const BitSpace& space, std::vector<PathSpec> paths, bool quantized,
                                   std::uint64_t seed)
    : network_(network), space_(space), quantized_(quantized), steps_(fuse(network)), specs_(std::move(paths)) {
  Random random(seed, "weights");
  for (int l = 0; l < network_.layer_count(); ++l) {
    const Node& node = network_.layer(l);
    const std::int64_t out = node.shape.channels, in = network_.in_channels(l) / node.groups, k = node.kernel;
    Tensor weight = node.op == Op::kLinear ? torch::empty({out, in}) : torch::empty({out, in, k, k});
    const double deviation = std::sqrt((node.op == Op::kLinear ? 1.0 : 2.0) / static_cast<double>(in * k * k));
    for (std::int64_t i = 0; i < weight.numel(); ++i)
      weight.data_ptr<float>()[i] = static_cast<float>(deviation * random.normal());
    layers_.push_back({parameter(weight), parameter(torch::zeros({out}))});
  }
  const std::int64_t stem_channels = network_.layer(0).shape.channels;
  stem_ = {parameter(torch::ones({stem_channels})), parameter(torch::zeros({stem_channels})), torch::zeros({stem_channels}),
           torch::ones({stem_channels})};
  for (const PathSpec& spec : specs_) {
    check_config(network_, space_, spec.config);
    paths_.push_back(make_path(spec.config));
  }
}

QuantizedNetwork::Path QuantizedNetwork::make_path(const BitConfig& config) const {
  Path path;
  path.layers.resize(layers_.size());
  path.quantizer_of.assign(layers_.size(), -1);
  for (int l = 1; l < network_.layer_count(); ++l) {
    const bool classifier = l == network_.layer_count() - 1;
    const std::int64_t out = network_.active_out(l, config, space_);
    path.layers[l] = {parameter(torch::ones({classifier ? 1 : out})), parameter(torch::zeros({out})), torch::zeros({out}),
                      torch::ones({out})};
  }
  // Layers that read one value at one bit-width share the quantiser, so the value is rounded once.
  for (const FusedStep& step : steps_)
    for (const int reader : step.readers) {
      const int bits = config[reader].activation;
      int found = -1;
      for (std::size_t i = 0; i < path.quantizers.size(); ++i)
        if (path.quantizers[i].step == step.layer && path.quantizers[i].bits == bits) found = static_cast<int>(i);
      if (found < 0) {
        found = static_cast<int>(path.quantizers.size());
        path.quantizers.push_back({step.layer, bits, parameter(torch::zeros({1}))});
      }
      path.quantizer_of[reader] = found;
    }
  return path;
}

Tensor QuantizedNetwork::layer_weight(int layer, const BitConfig& config, const Quantizers* quantizers) const {
  const Node& node = network_.layer(layer);
  const LayerParameters& parameters = layers_[layer];
  const int out = layer == 0 ? node.shape.channels : network_.active_out(layer, config, space_);
  const int in = network_.depthwise(layer) ? 1 : network_.active_in(layer, config, space_) / node.groups;
  Tensor weight = parameters.weight, log_step = parameters.log_step;
  if (out != weight.size(0)) {
    weight = weight.narrow(0, 0, out);
    log_step = log_step.narrow(0, 0, out);
  }
  if (in != weight.size(1)) weight = weight.narrow(1, 0, in);
  if (!quantized_) return weight;
  if (quantizers) return quantizers->weights(layer, weight, log_step, config[layer].weight);
  return quantize_weights(weight, log_step, config[layer].weight);
}

Tensor QuantizedNetwork::stem(const Tensor& src, const ForwardMode& mode) {
  const Node& node = network_.layer(0);
  const FusedStep& step = steps_[0];
  BitConfig config(layers_.size());
  for (std::size_t l = 0; l < config.size(); ++l) config[l].active_blocks = space_.layers[l].blocks;
  const Tensor z = torch::conv2d(channels_last(src), layer_weight(0, config, quantizers_.get()), {}, node.stride, node.padding, 1, node.groups);
  Produced produced;
  produced.value = normalize_quantize(z, stem_.gamma, stem_.beta, {stem_.mean, stem_.variance, mode.batch_statistics, mode.momentum}, {},
                                      step.relu, /*want_value=*/true, {})
                       .value;
  if (hook_) hook_(0, produced.value.detach());
  finish_step(step, &produced);
  return produced.value;
}

// A pool behind the step, on every form of its value.
void QuantizedNetwork::finish_step(const FusedStep& step, Produced* produced) const {
  if (step.pool_node < 0) return;
  const Node& pool = network_.nodes[step.pool_node];
  auto apply = [&](const Tensor& t) {
    if (!t.defined()) return t;
    if (pool.op == Op::kGlobalAvgPool) return t.mean({2, 3}, /*keepdim=*/true);
    return torch::max_pool2d(t, pool.kernel, pool.stride, pool.padding);
  };
  produced->value = apply(produced->value);
  for (auto& [bits, tensor] : produced->quantized) tensor = apply(tensor);
}

Tensor QuantizedNetwork::classify(const Tensor& src, const BitConfig& config, const PathLayer& parameters,
                                  const Quantizers* quantizers) const {
  const int classifier = network_.layer_count() - 1;
  const Tensor scores = torch::linear(src.flatten(1), layer_weight(classifier, config, quantizers));
  return scores * parameters.gamma + parameters.beta;
}

Tensor QuantizedNetwork::run(const BitConfig& config, const std::vector<const Path*>& source, const Tensor& stem_value,
                             const ForwardMode& mode, const Quantizers* quantizers, NormalizedOutputs* wanted) {
  if (wanted) wanted->values.assign(layers_.size(), Tensor());
  std::vector<Produced> produced(steps_.size());
  const Quantizers* rounding = quantizers && quantizers->own_activations() ? quantizers : nullptr;  // of activations
  auto quantizers_of = [&](const FusedStep& step, bool all) {
    std::vector<ActivationQuantizer> list;
    std::vector<int> widths;
    for (const int reader : step.readers) {
      const int bits = config[reader].activation;
      if (std::find(widths.begin(), widths.end(), bits) != widths.end()) continue;
      widths.push_back(bits);
      if (!quantized_ || !all) continue;
      const Path& path = *source[reader];
      list.push_back({path.quantizers[path.quantizer_of[reader]].log_step, bits, !step.relu});
    }
    return std::make_pair(list, widths);
  };

  const int stem_active = network_.active_out(0, config, space_);
  produced[0].value = narrow_channels(stem_value, stem_active);
  if (quantized_) {
    const auto [list, widths] = quantizers_of(steps_[0], true);
    for (std::size_t i = 0; i < list.size(); ++i)
      produced[0].quantized.emplace_back(widths[i], rounding ? rounding->activations(0, produced[0].value, list[i])
                                                             : quantize_activations(produced[0].value, list[i]));
  }

  for (std::size_t s = 1; s < steps_.size(); ++s) {
    const FusedStep& step = steps_[s];
    const int layer = step.layer;
    const Produced& from = produced[step.source];
    Tensor src = from.value;
    for (const auto& [bits, tensor] : from.quantized)
      if (bits == config[layer].activation) src = tensor;
    const PathLayer& parameters = source[layer]->layers[layer];
    if (layer == network_.layer_count() - 1) return classify(src, config, parameters, quantizers);

    const Node& node = network_.layer(layer);
    const int groups = network_.depthwise(layer) ? static_cast<int>(src.size(1)) : node.groups;
    const Tensor weight = layer_weight(layer, config, quantizers);
    const Tensor z = node.op == Op::kLinear
                         ? torch::linear(src.flatten(1), weight).unsqueeze(-1).unsqueeze(-1)
                         : torch::conv2d(src, weight, {}, node.stride, node.padding, 1, groups);
    const auto [list, widths] = quantizers_of(step, true);
    const Tensor residual = step.add_operand >= 0 ? produced[step.add_operand].value : Tensor();
    const int out = static_cast<int>(z.size(1));
    auto active = [&](const Tensor& t) { return t.size(0) == out ? t : t.narrow(0, 0, out); };
    if (wanted && !wanted->wanted.empty() && wanted->wanted[layer])
      wanted->values[layer] = normalize_quantize(z, active(parameters.gamma), active(parameters.beta),
                                                 {active(parameters.mean), active(parameters.variance), mode.batch_statistics, /*momentum=*/0},
                                                 /*residual=*/{}, /*relu=*/false, /*want_value=*/true, {})
                                  .value;
    const FusedOutputs outputs = normalize_quantize(
        z, active(parameters.gamma), active(parameters.beta),
        {active(parameters.mean), active(parameters.variance), mode.batch_statistics, mode.momentum}, residual, step.relu,
        /*want_value=*/step.carry || !quantized_ || rounding || hook_ != nullptr, rounding ? std::vector<ActivationQuantizer>{} : list);
    if (hook_) hook_(static_cast<int>(s), outputs.value.detach());
    produced[s].value = outputs.value;
    for (std::size_t i = 0; i < list.size(); ++i)
      produced[s].quantized.emplace_back(widths[i], rounding ? rounding->activations(layer, outputs.value, list[i]) : outputs.quantized[i]);
    finish_step(step, &produced[s]);
  }
  throw Error(ExitCode::kBug, "the graph has no classifier", network_.name, "report this");
}

Tensor QuantizedNetwork::forward(int path, const Tensor& stem_value, const ForwardMode& mode, NormalizedOutputs* outputs) {
  return run(specs_[path].config, std::vector<const Path*>(layers_.size(), &paths_[path]), stem_value, mode, quantizers_.get(), outputs);
}

NamedTensors QuantizedNetwork::parameters() const {
  NamedTensors list;
  for (int l = 0; l < network_.layer_count(); ++l) {
    const std::string name = network_.layer(l).name;
    list.emplace_back(name + ".weight", layers_[l].weight);
    if (quantized_) list.emplace_back(name + ".log_step", layers_[l].log_step);
  }
  list.emplace_back("stem_norm.gamma", stem_.gamma);
  list.emplace_back("stem_norm.beta", stem_.beta);
  for (std::size_t p = 0; p < paths_.size(); ++p) {
    const std::string prefix = "path." + specs_[p].name + ".";
    for (int l = 1; l < network_.layer_count(); ++l) {
      list.emplace_back(prefix + network_.layer(l).name + ".gamma", paths_[p].layers[l].gamma);
      list.emplace_back(prefix + network_.layer(l).name + ".beta", paths_[p].layers[l].beta);
    }
    if (!quantized_) continue;
    for (const ValueQuantizer& q : paths_[p].quantizers)
      list.emplace_back(prefix + network_.layer(q.step).name + ".a" + std::to_string(q.bits), q.log_step);
  }
  if (quantizers_)
    for (const auto& parameter : quantizers_->parameters()) list.push_back(parameter);
  return list;
}

NamedTensors QuantizedNetwork::buffers() const {
  NamedTensors list{{"stem_norm.mean", stem_.mean}, {"stem_norm.variance", stem_.variance}};
  for (std::size_t p = 0; p < paths_.size(); ++p)
    for (int l = 1; l < network_.layer_count(); ++l) {
      const std::string name = "path." + specs_[p].name + "." + network_.layer(l).name;
      list.emplace_back(name + ".mean", paths_[p].layers[l].mean);
      list.emplace_back(name + ".variance", paths_[p].layers[l].variance);
    }
  return list;
}

}  // namespace bitpilot
