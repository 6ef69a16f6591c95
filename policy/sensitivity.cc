#include "policy/sensitivity.h"

#include <nlohmann/json.hpp>

namespace bitpilot {
namespace {

using nlohmann::json;

json judged_json(const SearchPoint& point) {
  return {{"loss", point.loss}, {"accuracy", point.accuracy}, {"relative", point.relative}};
}

}  // namespace

Sensitivity measure_sensitivity(const DrawSpace& from, const ConfigJudge& judge) {
  const auto judged = [&](const BitConfig& config) {
    SearchPoint point = judge(config);
    point.config = config;
    point.relative = from.relative(config);
    return point;
  };
  const BitConfig high = highest_config(from), low = lowest_config(from);
  Sensitivity result{judged(high), judged(low), {}};
  for (std::size_t l = 0; l < high.size(); ++l) {
    if (from.space.layers[l].fixed) continue;
    LayerSensitivity layer;
    layer.layer = static_cast<int>(l);
    for (const int weight : offered(from, l, true))
      for (const int activation : offered(from, l, false)) {
        BitConfig config = high;
        config[l].weight = weight;
        config[l].activation = activation;
        layer.only.push_back(judged(config));
      }
    layer.lowest = layer.only.front();
    BitConfig spared = low;
    spared[l] = high[l];
    layer.all_but = judged(spared);
    result.layers.push_back(std::move(layer));
  }
  return result;
}

json sensitivity_json(const Sensitivity& sensitivity, const Network& network, const BitSpace& space) {
  json layers = json::array();
  for (const LayerSensitivity& layer : sensitivity.layers) {
    json only = json::array();
    for (const SearchPoint& point : layer.only) {
      const LayerBits& bits = point.config[static_cast<std::size_t>(layer.layer)];
      json entry = judged_json(point);
      entry["weight_bits"] = bits.weight;
      entry["activation_bits"] = bits.activation;
      only.push_back(entry);
    }
    layers.push_back({{"name", network.layer(layer.layer).name},
                      {"bits", space.layers[static_cast<std::size_t>(layer.layer)].bits},
                      {"only", only},
                      {"all_but", judged_json(layer.all_but)},
                      {"loss_of_lowering", layer.lowest.loss - sensitivity.highest.loss},
                      {"loss_won_by_sparing", sensitivity.lowest.loss - layer.all_but.loss}});
  }
  return {{"schema", "bitpilot.sensitivity/1"},
          {"highest", judged_json(sensitivity.highest)},
          {"lowest", judged_json(sensitivity.lowest)},
          {"layers", layers}};
}

}  // namespace bitpilot
