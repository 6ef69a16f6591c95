#include "runtime/format/model_json.h"

#include <array>
#include <cfloat>
#include <cstdio>
#include <cstdlib>

#include "runtime/core/files.h"
#include "runtime/core/json.h"
#include "runtime/format/model_file.h"

namespace bitpilot {
namespace {

constexpr std::size_t kMaxValues = std::size_t{1} << 17;
constexpr std::array<const char*, 2> kGranularities{"tensor", "channel"};
constexpr std::array<const char*, 4> kSymmetries{"symmetric", "asymmetric", "no_zero", "bin_middle"};

/// A double that prints in nine digits and reads back as exactly this float.
double short_number(float value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", static_cast<double>(value));
  const double result = std::strtod(text.data(), nullptr);
  return static_cast<float>(result) == value ? result : static_cast<double>(value);
}

float read_float(const JsonReader& json) { return static_cast<float>(json.number(-FLT_MAX, FLT_MAX)); }

template <std::size_t Size>
int read_choice(const JsonReader& json, const std::array<const char*, Size>& choices) {
  const std::string text = json.text(32);
  for (std::size_t i = 0; i < Size; ++i)
    if (text == choices[i]) return static_cast<int>(i);
  json.fail("unknown value \"" + text + "\"");
}

void check_size(const JsonReader& json, std::size_t wanted) {
  if (json.size() != wanted) json.fail(std::to_string(json.size()) + " entries, expected " + std::to_string(wanted));
}

nlohmann::json anchor_to_json(const Anchor& anchor) {
  nlohmann::json config = nlohmann::json::array(), layers = nlohmann::json::array();
  for (const LayerBits& bits : anchor.config) config.push_back({bits.weight, bits.activation, bits.active_blocks});
  for (const LayerCalibration& layer : anchor.layers)
    layers.push_back(
        {short_number(layer.input_step), layer.input_zero_point, short_number(layer.gain), layer.offset_shift});
  return {
      {"name", anchor.name}, {"config", config}, {"layers", layers}, {"temperature", short_number(anchor.temperature)}};
}

Anchor anchor_from_json(const JsonReader& json, std::size_t layer_count) {
  json.allow({"name", "config", "layers", "temperature"});
  Anchor anchor;
  anchor.name = json.at("name").text(64);
  anchor.temperature = read_float(json.at("temperature"));
  const JsonReader config = json.at("config"), layers = json.at("layers");
  check_size(config, layer_count);
  check_size(layers, layer_count);
  for (std::size_t l = 0; l < layer_count; ++l) {
    const JsonReader bits = config.at(l), layer = layers.at(l);
    check_size(bits, 3);
    check_size(layer, 4);
    anchor.config.push_back({static_cast<int>(bits.at(0).integer(2, 8)), static_cast<int>(bits.at(1).integer(2, 8)),
                             static_cast<int>(bits.at(2).integer(1, 65536))});
    LayerCalibration calibration;
    calibration.input_step = read_float(layer.at(0));
    calibration.input_zero_point = static_cast<int>(layer.at(1).integer(0, 255));
    calibration.gain = read_float(layer.at(2));
    calibration.offset_shift = static_cast<int>(layer.at(3).integer(0, 24));
    anchor.layers.push_back(std::move(calibration));
  }
  return anchor;
}

nlohmann::json pairs_of(const std::vector<std::pair<double, double>>& pairs) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [first, second] : pairs) list.push_back({first, second});
  return list;
}

void read_layers(ModelData& model, const JsonReader& json) {
  const auto layers = static_cast<std::size_t>(model.network.layer_count());
  const JsonReader space = json.at("space"), weights = json.at("weights"), carries = json.at("carries");
  space.allow({"block", "bits"});
  model.space.block = static_cast<int>(space.at("block").integer(8, 16));
  check_size(space.at("bits"), layers);
  check_size(weights, layers);
  check_size(carries, layers);
  for (std::size_t l = 0; l < layers; ++l) {
    const int index = static_cast<int>(l);
    LayerSpace layer;
    layer.bits.clear();
    const JsonReader bits = space.at("bits").at(l);
    for (std::size_t i = 0; i < bits.size(); ++i) layer.bits.push_back(static_cast<int>(bits.at(i).integer(2, 8)));
    layer.fixed = model.network.fixed(index);
    layer.blocks = (model.network.layer(index).shape.channels + model.space.block - 1) / model.space.block;
    model.space.layers.push_back(std::move(layer));

    const JsonReader weight = weights.at(l), carry = carries.at(l);
    weight.allow({"granularity", "symmetry", "stored_bits", "zero_point"});
    LayerWeights stored;
    stored.form.granularity = static_cast<Granularity>(read_choice(weight.at("granularity"), kGranularities));
    stored.form.symmetry = static_cast<Symmetry>(read_choice(weight.at("symmetry"), kSymmetries));
    stored.stored_bits = static_cast<int>(weight.at("stored_bits").integer(2, 8));
    stored.zero_point = static_cast<int>(weight.integer("zero_point", -128, 127, 0));
    model.weights.push_back(std::move(stored));
    check_size(carry, 2);
    model.carries.push_back({read_float(carry.at(0)), static_cast<int>(carry.at(1).integer(0, 255))});
  }
}

void read_statistics(ModelData& model, const JsonReader& json) {
  json.allow({"names", "ranges"});
  const JsonReader names = json.at("names"), ranges = json.at("ranges");
  check_size(ranges, names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    model.statistics.push_back(names.at(i).text(64));
    check_size(ranges.at(i), 2);
    model.ranges.emplace_back(read_float(ranges.at(i).at(0)), read_float(ranges.at(i).at(1)));
  }
}

void check_version(const JsonReader& json) {
  const std::int64_t version = json.at("format").integer(1, 1 << 30);
  if (version > kModelFormatVersion)
    throw Error(ExitCode::kData,
                "model format version " + std::to_string(version) + ", this program reads up to " +
                    std::to_string(kModelFormatVersion),
                json.where(), "use a newer bitpilot, or export the model with this one");
}

}  // namespace

std::string model_to_json(const ModelData& model) {
  nlohmann::json bits = nlohmann::json::array(), weights = nlohmann::json::array(), carries = nlohmann::json::array(),
                 anchors = nlohmann::json::array();
  for (const LayerSpace& layer : model.space.layers) bits.push_back(layer.bits);
  for (const LayerWeights& layer : model.weights) {
    weights.push_back({{"granularity", kGranularities[static_cast<std::size_t>(layer.form.granularity)]},
                       {"symmetry", kSymmetries[static_cast<std::size_t>(layer.form.symmetry)]},
                       {"stored_bits", layer.stored_bits}});
    if (layer.zero_point != 0) weights.back()["zero_point"] = layer.zero_point;
  }
  for (const Carry& carry : model.carries) carries.push_back({short_number(carry.step), carry.zero_point});
  for (const Anchor& anchor : model.anchors) anchors.push_back(anchor_to_json(anchor));
  std::vector<std::pair<double, double>> budget, ranges;
  for (const BudgetPoint& point : model.budget) budget.emplace_back(point.lambda, point.relative);
  for (const auto& [low, high] : model.ranges) ranges.emplace_back(short_number(low), short_number(high));
  const nlohmann::json json{{"format", kModelFormatVersion},
                            {"network", network_to_json(model.network)},
                            {"space", {{"block", model.space.block}, {"bits", bits}}},
                            {"preprocessing", {{"stretch", model.preprocessing.stretch}}},
                            {"labels", model.labels},
                            {"weights", weights},
                            {"carries", carries},
                            {"anchors", anchors},
                            {"safe_anchor", model.safe_anchor},
                            {"policy", model.policy.description},
                            {"budget", pairs_of(budget)},
                            {"default_lambda", model.default_lambda},
                            {"statistics", {{"names", model.statistics}, {"ranges", pairs_of(ranges)}}},
                            {"provenance", model.provenance}};
  return json.dump();
}

ModelData model_from_json(const std::string& text, const std::string& where) {
  const nlohmann::json value = parse_json(text, where + ": metadata", kMaxValues);
  const JsonReader json(value, where);
  check_version(json);
  json.allow({"format", "network", "space", "preprocessing", "labels", "weights", "carries", "anchors", "safe_anchor",
              "policy", "budget", "default_lambda", "statistics", "provenance"});
  ModelData model;
  model.network = network_from_json(json.at("network").value());
  read_layers(model, json);
  json.at("preprocessing").allow({"stretch"});
  model.preprocessing.stretch = json.at("preprocessing").at("stretch").boolean();
  const JsonReader labels = json.at("labels"), anchors = json.at("anchors"), budget = json.at("budget");
  for (std::size_t i = 0; i < labels.size(); ++i) model.labels.push_back(labels.at(i).text(256));
  for (std::size_t i = 0; i < anchors.size(); ++i)
    model.anchors.push_back(anchor_from_json(anchors.at(i), model.weights.size()));
  model.safe_anchor = static_cast<int>(json.at("safe_anchor").integer(0, 15));
  model.policy.description = json.at("policy").text();
  for (std::size_t i = 0; i < budget.size(); ++i) {
    check_size(budget.at(i), 2);
    model.budget.push_back({budget.at(i).at(0).number(0, DBL_MAX), budget.at(i).at(1).number(0, DBL_MAX)});
  }
  model.default_lambda = json.at("default_lambda").number(0, DBL_MAX);
  read_statistics(model, json.at("statistics"));
  model.provenance = json.at("provenance").text();
  return model;
}

}  // namespace bitpilot
