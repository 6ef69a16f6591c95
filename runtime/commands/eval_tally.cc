#include "runtime/commands/eval_tally.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "runtime/core/error.h"

namespace bitpilot {

namespace {

constexpr std::size_t kBins = 15;  // of the calibration error

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Mean weight and activation bits of the adaptive layers in the look that made the prediction.
std::pair<double, double> mean_bits(const ModelData& model, const BitConfig& bits) {
  double weight = 0, activation = 0, layers = 0;
  for (std::size_t l = 0; l < bits.size(); ++l) {
    if (model.space.layers[l].fixed) continue;
    weight += bits[l].weight;
    activation += bits[l].activation;
    ++layers;
  }
  return layers == 0 ? std::pair{8.0, 8.0} : std::pair{weight / layers, activation / layers};
}

/// "u2", or "u2+u4" for two looks.
std::string looks_name(const Decision& decision, const ModelData& model) {
  std::string name;
  for (const Look& look : decision.looks) name += (name.empty() ? "" : "+") + name_of(look, model);
  return name;
}

}  // namespace

std::pair<double, double> wilson_interval(std::uint64_t hits, std::uint64_t count) {
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(count);
  const double p = static_cast<double>(hits) / n, scale = 1 + z * z / n;
  const double middle = (p + z * z / (2 * n)) / scale,
               half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale;
  // At the ends the interval ends there too, which the sums reach but for rounding.
  return {hits == 0 ? 0.0 : std::max(0.0, middle - half), hits == count ? 1.0 : std::min(1.0, middle + half)};
}

double percentile(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

EvalTally::EvalTally(const ModelData& model, std::vector<int> classes)
    : model_(model), classes_(std::move(classes)), bins_(kBins) {}

void EvalTally::add(const JudgedPicture& picture) {
  const Decision& decision = picture.decision;
  const int label = picture.frame.label;
  if (label < 0 || static_cast<std::size_t>(label) >= classes_.size()) {
    throw Error(ExitCode::kData, "a picture has no label", picture.frame.source,
                "name labelled data, or use `bitpilot run`");
  }
  const bool correct = classes_[static_cast<std::size_t>(label)] == decision.label;
  const auto [weight, activation] = mean_bits(model_, decision.looks.back().bits);
  for (Group* group : {&all_, &groups_[picture.frame.family][picture.frame.severity]}) {
    ++group->images;
    group->correct += correct;
    group->relative += decision.relative;
    group->weight_bits += weight;
    group->activation_bits += activation;
  }
  Bin& bin = bins_[std::min(kBins - 1, static_cast<std::size_t>(decision.confidence * static_cast<float>(kBins)))];
  ++bin.images;
  bin.correct += correct;
  bin.confidence += static_cast<double>(decision.confidence);
  configs_[looks_name(decision, model_)].push_back(picture.total_ms);
  relative_.push_back(decision.relative);
  bops_.push_back(decision.bops);
  milliseconds_.push_back(picture.total_ms);
  policy_bops_ += decision.policy_bops;
  uncalibrated_ += !decision.calibrated;
}

double EvalTally::accuracy() const { return static_cast<double>(all_.correct) / static_cast<double>(all_.images); }
double EvalTally::mean_relative() const { return mean(relative_); }
double EvalTally::mean_ms() const { return mean(milliseconds_); }

double EvalTally::calibration_error() const {
  double sum = 0;
  for (const Bin& bin : bins_) sum += std::abs(bin.confidence - static_cast<double>(bin.correct));
  return sum / static_cast<double>(all_.images);
}

/// Pictures with the same looks take the same time, but for what else the machine does: the median of each, weighted by how
/// many there are.
double EvalTally::typical_ms() const {
  double sum = 0;
  for (const auto& [name, taken] : configs_) {
    std::vector<double> sorted = taken;
    std::sort(sorted.begin(), sorted.end());
    sum += percentile(sorted, 0.5) * static_cast<double>(sorted.size());
  }
  return sum / static_cast<double>(all_.images);
}

nlohmann::ordered_json EvalTally::record() const {
  using Json = nlohmann::ordered_json;
  const auto images = static_cast<double>(all_.images);
  std::vector<double> bops = bops_, milliseconds = milliseconds_;
  std::sort(bops.begin(), bops.end());
  std::sort(milliseconds.begin(), milliseconds.end());
  const auto [low, high] = wilson_interval(all_.correct, all_.images);
  Json json;
  json["accuracy"] = accuracy();
  json["accuracy_ci95"] = {low, high};
  json["ece"] = calibration_error();
  json["bops"] = {{"mean", mean(bops)},
                  {"relative", mean_relative()},
                  {"policy", policy_bops_ / images},
                  {"p95", percentile(bops, 0.95)},
                  {"max", bops.back()}};
  json["bits"] = {{"weight_mean", all_.weight_bits / images}, {"activation_mean", all_.activation_bits / images}};
  std::vector<std::pair<std::string, std::size_t>> configs;
  for (const auto& [name, taken] : configs_) configs.emplace_back(name, taken.size());
  std::stable_sort(configs.begin(), configs.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  json["configs"] = Json::array();
  for (const auto& [name, count] : configs)
    json["configs"].push_back({{"config", name}, {"share", static_cast<double>(count) / images}});
  json["uncalibrated"] = uncalibrated_;
  json["by_family"] = Json::object();
  for (const auto& [family, severities] : groups_) {
    for (const auto& [severity, group] : severities) {
      const auto count = static_cast<double>(group.images);
      json["by_family"][family][std::to_string(severity)] = {{"images", group.images},
                                                             {"accuracy", static_cast<double>(group.correct) / count},
                                                             {"relative", group.relative / count},
                                                             {"weight_bits_mean", group.weight_bits / count},
                                                             {"activation_bits_mean", group.activation_bits / count}};
    }
  }
  json["latency_ms"] = {{"mean", mean(milliseconds)},
                        {"typical", typical_ms()},
                        {"p50", percentile(milliseconds, 0.5)},
                        {"p95", percentile(milliseconds, 0.95)},
                        {"p99", percentile(milliseconds, 0.99)}};
  return json;
}

}  // namespace bitpilot
