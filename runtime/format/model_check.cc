#include "runtime/format/model_check.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "runtime/core/error.h"
#include "runtime/core/fusion.h"
#include "runtime/core/json.h"
#include "runtime/format/safetensors.h"

namespace bitpilot {
namespace {

constexpr std::size_t kMaxAnchors = 16, kMaxBudgetPoints = 4096, kMaxStatistics = 256, kMaxPolicyTensors = 1024;

/// Says where and throws.
class Checker {
 public:
  explicit Checker(std::string where) : where_(std::move(where)) {}
  void operator()(bool holds, const std::string& what, const std::string& place = "") const {
    if (!holds)
      throw Error(ExitCode::kData, what, where_ + (place.empty() ? "" : ": " + place), "export the model again");
  }

 private:
  std::string where_;
};

bool positive(float value) { return std::isfinite(value) && value > 0; }

bool printable(const std::string& text, std::size_t longest) {
  return !text.empty() && text.size() <= longest &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

void check_space(const ModelData& model, const Checker& check) {
  const Network& network = model.network;
  const BitSpace& space = model.space;
  check(space.block == 8 || space.block == 16, "filter blocks of neither 8 nor 16");
  check(static_cast<int>(space.layers.size()) == network.layer_count(), "a bit space of another network");
  for (int l = 0; l < network.layer_count(); ++l) {
    const LayerSpace& layer = space.layers[static_cast<std::size_t>(l)];
    const bool ascending =
        std::adjacent_find(layer.bits.begin(), layer.bits.end(), std::greater_equal<>()) == layer.bits.end();
    check(!layer.bits.empty() && ascending && layer.bits.front() >= 2 && layer.bits.back() <= 8,
          "candidate bits that do not ascend in 2..8", network.layer(l).name);
    check(layer.blocks == (network.layer(l).shape.channels + space.block - 1) / space.block,
          "a wrong number of filter blocks", network.layer(l).name);
    check(layer.fixed == network.fixed(l) && (!layer.fixed || layer.bits == std::vector<int>{8}),
          "stem and classifier must be fixed at 8 bits", network.layer(l).name);
  }
}

void check_weights(const ModelData& model, const Checker& check) {
  const Network& network = model.network;
  check(static_cast<int>(model.weights.size()) == network.layer_count(), "weights of another number of layers");
  for (int l = 0; l < network.layer_count(); ++l) {
    const LayerWeights& layer = model.weights[static_cast<std::size_t>(l)];
    const std::string& name = network.layer(l).name;
    const int bits = layer.stored_bits;
    check(bits >= 2 && bits <= 8, "weights stored at a width outside 2..8", name);
    const std::vector<int>& offered = model.space.layers[static_cast<std::size_t>(l)].bits;
    check(bits == 8 || std::find(offered.begin(), offered.end(), bits) != offered.end(),
          "packed weights at a width that the layer does not offer", name);
    check(static_cast<std::int64_t>(layer.codes.size()) == network.weight_count(l), "a wrong number of weight codes",
          name);
    check(static_cast<int>(layer.channel_scale.size()) == network.layer(l).shape.channels,
          "a wrong number of channel scales", name);
    for (const float scale : layer.channel_scale)
      check(std::isfinite(scale), "a channel scale that is no finite number", name);
    if (layer.form.granularity == Granularity::kTensor)
      for (const float scale : layer.channel_scale)
        check(scale == layer.channel_scale.front(), "per-tensor weights with different scales", name);
    const bool asymmetric = layer.form.symmetry == Symmetry::kAsymmetric;
    check(asymmetric
              ? layer.zero_point >= integer::signed_lowest(bits) && layer.zero_point <= integer::signed_highest(bits)
              : layer.zero_point == 0,
          "a weight zero point out of range", name);
    if (bits == 8) continue;
    const bool is_unsigned = layer.form.symmetry == Symmetry::kNoZero;
    const int lowest = is_unsigned ? 0 : integer::signed_lowest(bits);
    const int highest = is_unsigned ? integer::unsigned_highest(bits) : integer::signed_highest(bits);
    for (const int code : layer.codes)
      check(code >= lowest && code <= highest, "a weight code outside its width", name);
  }
}

void check_calibration(const LayerCalibration& calibration, const LayerBits& bits, const Node& node, bool stem,
                       const Checker& check, const std::string& place) {
  check(positive(calibration.input_step), "an input step that is not a positive number", place);
  check(std::isfinite(calibration.gain), "a gain that is no finite number", place);
  check(calibration.input_zero_point >= 0 && calibration.input_zero_point <= integer::unsigned_highest(bits.activation),
        "an input zero point out of range", place);
  check(!stem || calibration.input_zero_point == 0, "a stem with an input zero point", place);
  check(calibration.offset_shift >= 0 && calibration.offset_shift <= 24, "an offset shift outside 0..24", place);
  const auto out = static_cast<std::size_t>(node.shape.channels);
  check(calibration.offset.size() == out && calibration.channel_gain.size() == out,
        "offsets or gains of another number of filters", place);
}

void check_anchors(const ModelData& model, const Checker& check) {
  const Network& network = model.network;
  check(!model.anchors.empty() && model.anchors.size() <= kMaxAnchors, "a model needs 1 to 16 anchors");
  check(model.safe_anchor >= 0 && model.safe_anchor < static_cast<int>(model.anchors.size()),
        "a safe anchor that does not exist");
  std::set<std::string> names;
  for (const Anchor& anchor : model.anchors) {
    check(printable(anchor.name, 64), "an anchor's name is empty, too long or has control characters");
    const std::string place = "anchor " + anchor.name;
    check(names.insert(anchor.name).second, "two anchors have one name", place);
    check_config(network, model.space, anchor.config);
    check(positive(anchor.temperature), "a temperature that is not a positive number", place);
    check(static_cast<int>(anchor.layers.size()) == network.layer_count(), "a calibration of another number of layers",
          place);
    for (int l = 0; l < network.layer_count(); ++l) {
      const auto i = static_cast<std::size_t>(l);
      const int stored = model.weights[i].stored_bits;
      const std::string layer_place = place + ", " + network.layer(l).name;
      check(stored == 8 || anchor.config[i].weight == stored, "a weight width that the stored codes do not offer",
            layer_place);
      check_calibration(anchor.layers[i], anchor.config[i], network.layer(l), l == 0, check, layer_place);
    }
  }
  // One stem serves every configuration: it runs before the configuration is known.
  for (const Anchor& anchor : model.anchors)
    check(anchor.layers.front() == model.anchors.front().layers.front(), "anchors calibrate the stem differently",
          "anchor " + anchor.name);
  check(static_cast<int>(model.carries.size()) == network.layer_count(), "carries of another number of layers");
  for (const Carry& carry : model.carries)
    check(positive(carry.step) && carry.zero_point >= 0 && carry.zero_point <= 255,
          "a carry with a bad step or zero point");
}

void check_policy(const ModelData& model, const Checker& check, const std::string& where) {
  check(!model.policy.description.empty() || model.policy.tensors.empty(), "policy tensors without a description");
  if (!model.policy.description.empty()) parse_json(model.policy.description, where + ": policy", std::size_t{1} << 16);
  check(model.policy.tensors.size() <= kMaxPolicyTensors, "more than 1024 policy tensors");
  for (const auto& [name, tensor] : model.policy.tensors) {
    check(printable(name, 128), "a policy tensor's name is empty, too long or has control characters");
    const bool known = tensor.dtype == "I8" || tensor.dtype == "I16" || tensor.dtype == "I32" || tensor.dtype == "F32";
    check(known, "a policy tensor of dtype " + tensor.dtype, name);
    std::uint64_t bytes = dtype_size(tensor.dtype);
    for (const std::int64_t size : tensor.shape)
      check(size >= 0 && !__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes),
            "policy dimensions that overflow", name);
    check(bytes == tensor.bytes.size() && tensor.shape.size() <= 8, "a policy tensor's bytes do not fit its shape",
          name);
  }
}

void check_budget(const ModelData& model, const Checker& check) {
  check(model.budget.size() <= kMaxBudgetPoints, "more than 4096 budget points");
  double last = -1;
  for (const BudgetPoint& point : model.budget) {
    check(std::isfinite(point.lambda) && point.lambda > last && point.lambda >= 0,
          "budget points whose lambda does not ascend from 0");
    check(std::isfinite(point.relative) && point.relative > 0, "a budget point without a positive cost");
    last = point.lambda;
  }
  check(std::isfinite(model.default_lambda) && model.default_lambda >= 0, "a default lambda below 0");
}

}  // namespace

void check_model(const ModelData& model, const std::string& where) {
  const Checker check(where);
  check(model.network.layer_count() > 0, "a network that is not finished");
  fuse(model.network);
  check_space(model, check);
  check_weights(model, check);
  check_anchors(model, check);
  check_policy(model, check, where);
  check_budget(model, check);
  check(static_cast<int>(model.labels.size()) == model.network.classes(), "one label is needed for each class");
  for (const std::string& label : model.labels)
    check(printable(label, 256), "a label is empty, too long or has control characters");
  check(model.statistics.size() == model.ranges.size() && model.statistics.size() <= kMaxStatistics,
        "statistics and their ranges differ in number");
  for (const std::string& name : model.statistics)
    check(printable(name, 64), "a statistic's name is empty, too long or has control characters");
  for (const auto& [low, high] : model.ranges)
    check(std::isfinite(low) && std::isfinite(high) && low <= high, "a statistic's range is not finite or upside down");
  if (!model.provenance.empty()) parse_json(model.provenance, where + ": provenance", std::size_t{1} << 16);
}

}  // namespace bitpilot
