#include "runtime/commands/record.h"

#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "runtime/kernels/kernels.h"
#include "runtime/policy_parameters.h"

namespace bitpilot {

namespace {

using Json = nlohmann::ordered_json;

std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// Wall-clock time of a moment of the steady clock, as 2026-01-02T03:04:05.678Z.
std::string utc_time(std::chrono::steady_clock::time_point moment) {
  const auto ago = std::chrono::steady_clock::now() - moment;
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(
      (std::chrono::system_clock::now() - ago).time_since_epoch());
  const std::time_t seconds = since.count() / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + length, sizeof text - length, ".%03dZ", static_cast<int>(since.count() % 1000));
  return text;
}

/// Rounded to `digits` decimals: records are read by people too.
double rounded(double value, int digits) {
  const double scale = std::pow(10.0, digits);
  return std::nearbyint(value * scale) / scale;
}

Json quality_of(const JudgedPicture& judged) {
  Json features = Json::object();
  for (std::size_t i = 0; i < judged.statistics.values.size(); ++i) {
    const float value = judged.statistics.values[i];
    if (std::isfinite(value)) features[statistics_names()[i]] = value;
  }
  Json quality = Json::object();
  const bool estimated = judged.decision.policy_bops > 0 && std::isfinite(judged.decision.severity);
  if (estimated) quality["score"] = rounded(1.0 - static_cast<double>(judged.decision.severity) / 5.0, 4);
  quality["features"] = features;
  return quality;
}

Json layers_of(const Decision& decision, const ModelData& model, const std::string& family) {
  Json layers = Json::array();
  const BitConfig& bits = decision.looks.back().bits;
  for (int l = 0; l < model.network.layer_count(); ++l) {
    const auto i = static_cast<std::size_t>(l);
    if (model.space.layers[i].fixed) continue;
    const LayerDistribution& spread = decision.distributions[i];
    const auto distribution = [&](float mean, float std) {
      return Json{{"family", family}, {"mean", mean}, {"std", std}};
    };
    layers.push_back({{"name", model.network.layer(l).name},
                      {"weight_bits", bits[i].weight},
                      {"activation_bits", bits[i].activation},
                      {"active_blocks", bits[i].active_blocks},
                      {"weight_distribution", distribution(spread.weight_mean, spread.weight_std)},
                      {"activation_distribution", distribution(spread.activation_mean, spread.activation_std)}});
  }
  return layers;
}

Json looks_of(const Decision& decision, const ModelData& model) {
  Json looks = Json::array();
  for (const Look& look : decision.looks) {
    Json bits = Json::array();
    for (std::size_t i = 0; i < look.bits.size(); ++i) {
      if (!model.space.layers[i].fixed)
        bits.push_back({look.bits[i].weight, look.bits[i].activation, look.bits[i].active_blocks});
    }
    looks.push_back({{"config", name_of(look, model)},
                     {"bits", bits},
                     {"relative", rounded(look.relative, 6)},
                     {"confidence", look.confidence},
                     {"index", look.index}});
  }
  return looks;
}

}  // namespace

DecisionLines::DecisionLines(std::shared_ptr<const Model> model) : model_(std::move(model)) {
  if (PolicyHead::has_policy(model_->data())) family_ = unpack_policy(model_->data()).family;
}

std::string DecisionLines::line(const JudgedPicture& judged, std::uint64_t sequence) const {
  const Decision& decision = judged.decision;
  const ModelData& data = model_->data();
  Json json;
  json["schema"] = "bitpilot.decision/1";
  json["sequence"] = sequence;
  json["source"] = judged.frame.source;
  json["region"] = nullptr;
  if (judged.region) json["region"] = {judged.region->x, judged.region->y, judged.region->width, judged.region->height};
  json["time"] = utc_time(judged.frame.captured);
  json["age_ms"] = rounded(judged.age_ms, 3);
  json["model"] = model_->hash();
  json["isa"] = model_->kernels().name;
  json["lambda"] = judged.lambda;
  if (!judged.guard) json["guard"] = false;
  json["fallback"] = nullptr;
  if (!decision.fallback.empty()) json["fallback"] = std::string(decision.fallback);
  json["dropped_before"] = judged.frame.dropped_before;
  json["quality"] = quality_of(judged);
  json["layers"] = layers_of(decision, data, family_);
  json["looks"] = looks_of(decision, data);
  json["cost"] = {{"bops", std::llround(decision.bops)},
                  {"relative", rounded(decision.relative, 6)},
                  {"policy_bops", std::llround(decision.policy_bops)}};
  const auto label = static_cast<std::size_t>(decision.label);
  json["prediction"] = {{"label", label < data.labels.size() ? data.labels[label] : std::to_string(label)},
                        {"index", decision.label},
                        {"confidence", decision.confidence}};
  json["timing_ms"] = {{"decode", rounded(judged.frame.decode_ms, 4)},
                       {"preprocess", rounded(judged.preprocess_ms, 4)},
                       {"policy", rounded(decision.policy_ms, 4)},
                       {"backbone", rounded(decision.backbone_ms, 4)},
                       {"total", rounded(judged.total_ms, 4)}};
  return line_of(json);
}

std::string summary_line(const JudgeCounts& counts, std::uint64_t records, std::uint64_t output_errors) {
  Json json;
  json["schema"] = "bitpilot.summary/1";
  json["received"] = counts.received;
  json["processed"] = counts.processed;
  json["records"] = records;
  json["queued"] = counts.queued;
  json["dropped"] = {{"queue", counts.dropped_queue},
                     {"decode", counts.dropped_decode},
                     {"region", counts.dropped_region},
                     {"frozen", counts.dropped_frozen},
                     {"key_frame", counts.dropped_key_frame}};
  json["output_errors"] = output_errors;
  return line_of(json);
}

}  // namespace bitpilot
