#include "runtime/format/reduce_model.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

// Stores a layer's codes at the one width that its anchors use.  The multiplier rule counts from stored_bits, so the scale of a stored step
// grows by the power of two that the codes lost: products are the same numbers.
void narrow_codes(ModelData* model, std::size_t layer) {
  LayerWeights& weights = model->weights[layer];
  if (weights.stored_bits != 8 || weights.form.symmetry != Symmetry::kSymmetric) return;
  const int bits = model->anchors.front().config[layer].weight;
  for (const Anchor& anchor : model->anchors)
    if (anchor.config[layer].weight != bits) return;
  if (bits == 8) return;
  for (std::int8_t& code : weights.codes) code = static_cast<std::int8_t>(integer::nested_code(code, bits));
  for (float& scale : weights.channel_scale) scale *= static_cast<float>(1 << (8 - bits));
  weights.stored_bits = bits;
}

// [layer] channels that some anchor computes.
std::vector<int> used_channels(const ModelData& model) {
  const Network& network = model.network;
  const std::vector<int>& groups = network.width_groups();
  std::vector<int> used;
  for (int l = 0; l < network.layer_count(); ++l) {
    const int out = network.layer(l).shape.channels;
    int most = 0;
    for (const Anchor& anchor : model.anchors) most = std::max(most, network.active_out(l, anchor.config, model.space));
    const auto group = groups[static_cast<std::size_t>(l)];
    used.push_back(network.fixed(l) || group == groups.front() ? out : std::min(out, most));
  }
  return used;
}

// Codes of the first filters and the first input channels.
void slice_codes(LayerWeights& weights, int taps, int in, int used_in, int used_out) {
  std::vector<std::int8_t> codes;
  const auto row = static_cast<std::ptrdiff_t>(in) * taps, kept = static_cast<std::ptrdiff_t>(used_in) * taps;
  for (std::ptrdiff_t o = 0; o < used_out; ++o) {
    const auto first = weights.codes.begin() + o * row;
    codes.insert(codes.end(), first, first + kept);
  }
  weights.codes = std::move(codes);
  weights.channel_scale.resize(static_cast<std::size_t>(used_out));
}

constexpr double kGainUnits = 64;  // of a channel gain in an octave
constexpr int kLowestGain = -128, kHighestGain = 127;

void share_scale(LayerWeights* weights, LayerCalibration* calibration) {
  std::vector<double> scale;
  double largest = 0;
  for (std::size_t o = 0; o < weights->channel_scale.size(); ++o) {
    scale.push_back(static_cast<double>(weights->channel_scale[o]) * std::exp2(calibration->channel_gain[o] / kGainUnits));
    largest = std::max(largest, scale.back());
  }
  if (!(largest > 0)) return;
  const auto common = static_cast<float>(largest * std::exp2(-kHighestGain / kGainUnits));
  LayerCalibration shared = *calibration;
  for (std::size_t o = 0; o < scale.size(); ++o) {
    if (!(scale[o] > 0)) return;
    const double gain = integer::rne(kGainUnits * std::log2(scale[o] / static_cast<double>(common)));
    if (gain < kLowestGain) return;
    shared.channel_gain[o] = static_cast<std::int8_t>(std::min<double>(gain, kHighestGain));
    const double moved = static_cast<double>(common) * std::exp2(shared.channel_gain[o] / kGainUnits) / scale[o];
    const double offset = integer::rne(calibration->offset[o] / moved);
    if (std::abs(offset) > 32767) return;
    shared.offset[o] = static_cast<std::int16_t>(offset);
  }
  weights->form.granularity = Granularity::kTensor;
  std::fill(weights->channel_scale.begin(), weights->channel_scale.end(), common);
  *calibration = std::move(shared);
}

}  // namespace

void share_scales(ModelData* model) {
  if (model->anchors.size() != 1) return;
  for (std::size_t layer = 0; layer < model->weights.size(); ++layer) share_scale(&model->weights[layer], &model->anchors.front().layers[layer]);
}

void pack_single_widths(ModelData* model) {
  for (std::size_t layer = 0; layer < model->weights.size(); ++layer) narrow_codes(model, layer);
}

void drop_idle_filters(ModelData* model) {
  const std::vector<int> used = used_channels(*model);
  Network smaller = model->network;
  for (std::size_t n = 0; n < smaller.nodes.size(); ++n) {
    Node& node = smaller.nodes[n];
    const int source = model->network.channel_source(static_cast<int>(n));
    if (source < 0) continue;
    node.shape.channels = used[static_cast<std::size_t>(source)];
    if (node.groups > 1) node.groups = node.shape.channels;  // depthwise
  }
  for (int l = 0; l < smaller.layer_count(); ++l) {
    const auto i = static_cast<std::size_t>(l);
    const Node& node = smaller.layer(l);
    const int out = used[i], groups = model->network.layer(l).groups;
    slice_codes(model->weights[i], node.kernel * node.kernel, model->network.in_channels(l) / groups,
                smaller.in_channels(l) / node.groups, out);
    for (Anchor& anchor : model->anchors) {
      anchor.layers[i].channel_gain.resize(static_cast<std::size_t>(out));
      anchor.layers[i].offset.resize(static_cast<std::size_t>(out));
    }
    model->space.layers[i].blocks = (out + model->space.block - 1) / model->space.block;
  }
  model->network = std::move(smaller);
}

ModelData keep_anchors(const ModelData& model, const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const Anchor& anchor : model.anchors) known.push_back(anchor.name);
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string nearest = nearest_name(name, known);
    throw Error(ExitCode::kUsage, "the model has no anchor \"" + name + "\"", "--anchors",
                nearest.empty() ? "see `bitpilot inspect` for the anchors" : "did you mean \"" + nearest + "\"?");
  }
  if (names.empty()) throw Error(ExitCode::kUsage, "no anchor is left", "--anchors", "name at least one");
  ModelData kept = model;
  const std::string safe = model.anchors[static_cast<std::size_t>(model.safe_anchor)].name;
  std::erase_if(kept.anchors, [&](const Anchor& anchor) { return std::find(names.begin(), names.end(), anchor.name) == names.end(); });
  kept.safe_anchor = 0;
  for (std::size_t k = 0; k < kept.anchors.size(); ++k)
    if (kept.anchors[k].name == safe) kept.safe_anchor = static_cast<int>(k);
  if (kept.anchors.size() != model.anchors.size()) {
    kept.policy = {};
    kept.budget.clear();
    kept.default_lambda = 0;
  }
  pack_single_widths(&kept);
  return kept;
}

}  // namespace bitpilot
