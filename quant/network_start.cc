// How a supernet starts: filters ordered by importance, step sizes by search, and the nearest path for free configurations.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "quant/filter_order.h"
#include "quant/quantized_network.h"
#include "quant/same_range.h"
#include "runtime/core/error.h"
#include "runtime/core/nearest_config.h"

namespace bitpilot {

using torch::Tensor;

namespace {

void copy_tensors(const NamedTensors& from, const NamedTensors& to) {
  if (from.size() != to.size()) throw Error(ExitCode::kBug, "networks differ in their tensors", "copy_tensors", "report this");
  for (std::size_t i = 0; i < from.size(); ++i) to[i].second.detach().copy_(from[i].second.detach());
}

// The 8-bit step of one filter with the least squared error summed over the bit-widths that its layer is trained at.
double search_filter_step(const Tensor& filter, const std::vector<int>& bits) {
  const double largest = std::max(1e-8, filter.abs().max().item<double>());
  const Tensor row = filter.reshape({1, -1});
  double best = largest / 128, best_error = std::numeric_limits<double>::max();
  for (int i = 0; i < 23; ++i) {
    const double step = largest * (0.12 + 0.04 * i) / 128;
    const Tensor log_step = torch::full({1}, std::log(step));
    double error = 0;
    for (const int b : bits) error += (quantize_weights(row, log_step, b) - row).square().mean().item<double>();
    if (error < best_error) {
      best_error = error;
      best = step;
    }
  }
  return std::log(best);
}

// A layer's normalisation, of the first filters where `to` has fewer.
template <class Layer>
void copy_layer(const Layer& from, Layer* to) {
  const auto take = [](const Tensor& source, const Tensor& target) { target.detach().copy_(source.detach().narrow(0, 0, target.size(0))); };
  take(from.gamma, to->gamma);
  take(from.beta, to->beta);
  take(from.mean, to->mean);
  take(from.variance, to->variance);
}

}  // namespace

// For each layer the order of its filters, most important first: |gamma| times the absolute weights that read the filter, summed over
// the layers of its width group.
std::vector<Tensor> QuantizedNetwork::filter_orders() const {
  const std::vector<int>& groups = network_.width_groups();
  std::map<int, Tensor> gammas, readers;
  auto add = [](std::map<int, Tensor>* sums, int group, const Tensor& t) {
    auto [it, fresh] = sums->try_emplace(group, t.clone());
    if (!fresh) it->second += t;
  };
  for (int l = 0; l < network_.layer_count(); ++l) {
    if (l + 1 < network_.layer_count()) add(&gammas, groups[l], (l == 0 ? stem_ : paths_[0].layers[l]).gamma.detach().abs());
    const int source = network_.channel_source(network_.layer(l).inputs[0]);
    if (source < 0 || network_.depthwise(l)) continue;
    const Tensor w = layers_[l].weight.detach().abs();
    add(&readers, groups[source], w.dim() == 4 ? w.sum(std::vector<std::int64_t>{0, 2, 3}) : w.sum(0));
  }
  std::vector<Tensor> orders;
  for (int l = 0; l < network_.layer_count(); ++l) {
    const auto gamma = gammas.find(groups[l]), reader = readers.find(groups[l]);
    if (gamma == gammas.end() || reader == readers.end()) orders.push_back(torch::arange(layers_[l].weight.size(0)));
    else orders.push_back(torch::argsort(gamma->second * reader->second, /*stable=*/true, 0, /*descending=*/true));
  }
  return orders;
}

void QuantizedNetwork::sort_filters() { order_filters(this, filter_orders()); }

void QuantizedNetwork::start_from(const QuantizedNetwork& float_network, const Tensor& src) {
  torch::NoGradGuard guard;
  QuantizedNetwork ordered(float_network.network_, float_network.space_, float_network.specs_, /*quantized=*/false, 0);
  copy_tensors(float_network.parameters(), ordered.parameters());
  copy_tensors(float_network.buffers(), ordered.buffers());
  ordered.sort_filters();

  for (std::size_t l = 0; l < layers_.size(); ++l) layers_[l].weight.detach().copy_(ordered.layers_[l].weight);
  stem_.gamma.detach().copy_(ordered.stem_.gamma);
  stem_.beta.detach().copy_(ordered.stem_.beta);
  stem_.mean.copy_(ordered.stem_.mean);
  stem_.variance.copy_(ordered.stem_.variance);
  const int classifier = network_.layer_count() - 1;
  for (Path& path : paths_)
    for (int l = 1; l < network_.layer_count(); ++l) {
      const PathLayer& from = ordered.paths_[0].layers[l];
      PathLayer& to = path.layers[l];
      const std::int64_t out = to.beta.size(0);
      to.beta.detach().copy_(from.beta.narrow(0, 0, out));
      to.mean.copy_(from.mean.narrow(0, 0, out));
      to.variance.copy_(from.variance.narrow(0, 0, out));
      if (l != classifier) to.gamma.detach().copy_(from.gamma.narrow(0, 0, out));
      else to.gamma.detach().fill_(static_cast<double>(network_.in_channels(l)) / network_.active_in(l, specs_[&path - paths_.data()].config, space_));
    }
  start_steps(src, &ordered);
}

void QuantizedNetwork::start_steps(const Tensor& src, QuantizedNetwork* ordered_float) {
  std::vector<Tensor> values(steps_.size());
  ordered_float->set_hook([&](int step, const Tensor& value) { values[step] = value; });
  const ForwardMode evaluation{/*batch_statistics=*/false, /*momentum=*/0};
  ordered_float->forward(0, ordered_float->stem(src, evaluation), evaluation);
  ordered_float->set_hook(nullptr);
  for (std::size_t p = 0; p < paths_.size(); ++p)
    for (ValueQuantizer& q : paths_[p].quantizers) {
      const int active = network_.active_out(q.step, specs_[p].config, space_);
      q.log_step.detach().fill_(search_log_step(values[q.step].narrow(1, 0, active), q.bits, !steps_[q.step].relu));
    }
  for (int l = 0; l < network_.layer_count(); ++l) {
    std::vector<int> bits;
    for (const PathSpec& spec : specs_)
      if (std::find(bits.begin(), bits.end(), spec.config[l].weight) == bits.end()) bits.push_back(spec.config[l].weight);
    for (std::int64_t o = 0; o < layers_[l].weight.size(0); ++o)
      layers_[l].log_step.detach()[o].fill_(search_filter_step(layers_[l].weight.detach()[o], bits));
  }
}

// A path can lend its parameters to a layer only if it has trained at least as many of its filters.
std::size_t QuantizedNetwork::nearest_path(int layer, const BitConfig& config) const {
  std::vector<const BitConfig*> paths;
  for (const PathSpec& spec : specs_) paths.push_back(spec.config[layer].active_blocks < config[layer].active_blocks ? nullptr : &spec.config);
  return nearest_config(config, layer, steps_, space_, paths);
}

Tensor QuantizedNetwork::forward_config(const BitConfig& config, const Tensor& stem_value, const Quantizers* quantizers,
                                        NormalizedOutputs* outputs) {
  check_config(network_, space_, config);
  std::vector<const Path*> source(layers_.size(), nullptr);
  std::vector<Path> adjusted(layers_.size());
  for (std::size_t l = 1; l < layers_.size(); ++l) {
    adjusted[l] = paths_[nearest_path(static_cast<int>(l), config)];
    ValueQuantizer& q = adjusted[l].quantizers[adjusted[l].quantizer_of[l]];
    q.log_step = q.log_step + same_range(q.bits, config[l].activation);
    source[l] = &adjusted[l];
  }
  return run(config, source, stem_value, {/*batch_statistics=*/true, /*momentum=*/0}, quantizers ? quantizers : quantizers_.get(), outputs);
}

QuantizedNetwork QuantizedNetwork::with_paths(std::vector<PathSpec> paths) const {
  torch::NoGradGuard guard;
  QuantizedNetwork copy(network_, space_, std::move(paths), quantized_, /*seed=*/0);
  copy.quantizers_ = quantizers_;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    copy.layers_[l].weight.detach().copy_(layers_[l].weight.detach());
    copy.layers_[l].log_step.detach().copy_(layers_[l].log_step.detach());
  }
  copy_layer(stem_, &copy.stem_);
  for (std::size_t p = 0; p < copy.paths_.size(); ++p) {
    Path& path = copy.paths_[p];
    std::vector<bool> set(path.quantizers.size(), false);
    for (std::size_t l = 1; l < layers_.size(); ++l) {
      const Path& nearest = paths_[nearest_path(static_cast<int>(l), copy.specs_[p].config)];
      copy_layer(nearest.layers[l], &path.layers[l]);
      // Of several layers that read one value at one bit-width the first one gives the step, as in a pass.
      const int to = path.quantizer_of[l];
      if (set[to]) continue;
      set[to] = true;
      const ValueQuantizer& from = nearest.quantizers[nearest.quantizer_of[l]];
      path.quantizers[to].log_step.detach().copy_(from.log_step.detach() + same_range(from.bits, path.quantizers[to].bits));
    }
  }
  return copy;
}

}  // namespace bitpilot
