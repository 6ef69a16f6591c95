#include "runtime/commands/bits.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"

namespace bitpilot {

namespace {

std::optional<int> whole(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "8" or "4/8".
std::optional<std::pair<int, int>> widths(const std::string& text) {
  const std::size_t slash = text.find('/');
  const std::optional<int> weight = whole(text.substr(0, slash));
  const std::optional<int> activation = slash == std::string::npos ? weight : whole(text.substr(slash + 1));
  if (!weight || !activation) return std::nullopt;
  return std::pair{*weight, *activation};
}

/// Why the model cannot run `bits` in `layer`, "" if it can.
std::string refused(const ModelData& model, int layer, const LayerBits& bits) {
  const std::vector<int>& values = model.space.layers[static_cast<std::size_t>(layer)].bits;
  const std::vector<int> weights = weight_widths(model, layer);
  const auto offers = [](const std::vector<int>& widths, int width) {
    return std::find(widths.begin(), widths.end(), width) != widths.end();
  };
  if (offers(weights, bits.weight) && offers(values, bits.activation)) return "";
  const auto list = [](const std::vector<int>& widths) {
    std::string text;
    for (const int width : widths) text += (text.empty() ? "" : ", ") + std::to_string(width);
    return text;
  };
  const std::string asked = std::to_string(bits.weight) + "/" + std::to_string(bits.activation);
  return asked + " bits are not offered in " + model.network.layer(layer).name + " (it has " + list(values) +
         (weights == values ? ")" : "; weights are stored at " + list(weights) + ")");
}

void check_offered(const ModelData& model, const BitConfig& config, ExitCode code, const std::string& where) {
  for (int layer = 0; layer < model.network.layer_count(); ++layer) {
    const std::string why = refused(model, layer, config[static_cast<std::size_t>(layer)]);
    if (!why.empty()) throw Error(code, why, where, "`bitpilot inspect` lists what the model offers");
  }
}

}  // namespace

std::vector<int> weight_widths(const ModelData& model, int layer) {
  const auto l = static_cast<std::size_t>(layer);
  const int stored = model.weights[l].stored_bits;
  return stored < 8 ? std::vector<int>{stored} : model.space.layers[l].bits;
}

BitConfig parse_config(const std::string& json_text, const std::string& where, const ModelData& model) {
  const nlohmann::json json = parse_json(json_text, where);
  JsonReader reader(json, where);
  if (json.is_object()) {
    // What search writes may be given back as it is.
    reader.allow({"bits", "name", "schema", "method", "budget", "relative", "accuracy", "loss", "images", "evaluations",
                  "pareto", "cost_unit", "predicted_loss", "kendall", "remeasured", "against_random",
                  "seconds", "predictor", "widths"});
    reader = reader.at("bits");
  }
  const auto layers = static_cast<std::size_t>(model.network.layer_count());
  const bool all = reader.size() == layers;
  const auto adaptive =
      std::count_if(model.space.layers.begin(), model.space.layers.end(), [](const LayerSpace& l) { return !l.fixed; });
  if (!all && reader.size() != static_cast<std::size_t>(adaptive)) {
    reader.fail("a configuration has one [weight, activation, blocks] for each of the " + std::to_string(adaptive) +
                " adaptive layers");
  }
  BitConfig config = uniform_config(model.space, 8, 8);
  std::size_t row = 0;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if (!all && model.space.layers[layer].fixed) continue;
    const JsonReader bits = reader.at(row++);
    if (bits.size() != 3) bits.fail("takes [weight, activation, blocks]");
    config[layer] = {static_cast<int>(bits.at(0).integer(2, 8)), static_cast<int>(bits.at(1).integer(2, 8)),
                     static_cast<int>(bits.at(2).integer(1, 65536))};
  }
  check_config(model.network, model.space, config);
  check_offered(model, config, ExitCode::kData, where);
  return config;
}

std::optional<BitConfig> read_bits(const std::string& text, const ModelData& model) {
  if (text == "policy") return std::nullopt;
  if (const auto bits = widths(text)) {
    if (bits->first < 2 || bits->first > 8 || bits->second < 2 || bits->second > 8) {
      throw Error(ExitCode::kUsage, "--bits takes widths from 2 to 8, not \"" + text + "\"", "bitpilot",
                  "give --bits 4 or --bits 4/8");
    }
    BitConfig config = uniform_config(model.space, bits->first, bits->second);
    check_offered(model, config, ExitCode::kUsage, "--bits " + text);
    return config;
  }
  std::vector<std::string> names{"policy"};
  for (const Anchor& anchor : model.anchors) {
    if (anchor.name == text) return anchor.config;
    names.push_back(anchor.name);
  }
  if (text.ends_with(".json") || text.find('/') != std::string::npos) return parse_config(read_file(text), text, model);
  const std::string like = nearest_name(text, names);
  throw Error(ExitCode::kUsage, "--bits knows no \"" + text + "\"", "bitpilot",
              like.empty() ? "give policy, 8, 4/4, an anchor's name or a .json file" : "did you mean " + like + "?");
}

std::string config_name(const BitConfig& config, const ModelData& model) {
  const int anchor = find_anchor(model, config);
  return anchor >= 0 ? model.anchors[static_cast<std::size_t>(anchor)].name : to_string(config, model.space);
}

}  // namespace bitpilot
