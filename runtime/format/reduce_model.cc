#include "runtime/format/reduce_model.h"

#include <algorithm>

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

}  // namespace

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
  for (std::size_t layer = 0; layer < kept.weights.size(); ++layer) narrow_codes(&kept, layer);
  return kept;
}

}  // namespace bitpilot
