#include "experiments/bottlenecks.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "experiments/size_account.h"
#include "experiments/svg_plot.h"
#include "runtime/core/fusion.h"
#include "runtime/core/random.h"

namespace bitpilot {

using nlohmann::json;
using torch::Tensor;

namespace {

constexpr double kFlagRelief = 0.005, kFlagDistance = 1.0 / 24, kFlagConflict = -0.2;
constexpr int kRandomOrders = 3, kResamples = 1000;
constexpr std::size_t kMostPromoted = 8;  // layers of one order

/// Of each picture whether it is told right, and its cross-entropy.
struct Verdicts {
  std::vector<std::uint8_t> right;
  std::vector<double> loss;
};

/// Nested codes in the layers that are rounded, the weights themselves in the others; values rounded but for those behind one layer.
class PartlyRounded : public Quantizers {
 public:
  PartlyRounded(std::vector<bool> rounded, int float_values) : rounded_(std::move(rounded)), float_values_(float_values) {}
  Tensor weights(int layer, const Tensor& weight, const Tensor& log_step, int bits) const override {
    return rounded_[static_cast<std::size_t>(layer)] ? quantize_weights(weight, log_step, bits) : weight;
  }
  Tensor activations(int layer, const Tensor& value, const ActivationQuantizer& quantizer) const override {
    return layer == float_values_ ? value : quantize_activations(value, quantizer);
  }

 private:
  std::vector<bool> rounded_;
  int float_values_;  // none: -1
};

class Finder {
 public:
  Finder(QuantizedNetwork* network, const BitConfig& config, const std::vector<TrainingBatch>& batches, std::uint64_t seed)
      : network_(network), config_(config), batches_(batches), seed_(seed) {
    torch::NoGradGuard guard;
    // By the batch's statistics like all that follows: the running ones belong to the weights that training ended with.
    for (const TrainingBatch& batch : batches) stems_.push_back(network->stem(batch.src, {/*batch_statistics=*/true, /*momentum=*/0}));
    for (int l = 0; l < network->network().layer_count(); ++l)
      if (!network->network().fixed(l)) adaptive_.push_back(l);
  }

  const std::vector<int>& adaptive() const { return adaptive_; }
  std::vector<bool> every(bool rounded) const { return std::vector<bool>(config_.size(), rounded); }
  std::vector<bool> every_but(int layer, bool rounded) const {
    std::vector<bool> result = every(rounded);
    result[static_cast<std::size_t>(layer)] = !rounded;
    return result;
  }

  /// `rounded` [layer]; `float_values`: the layer whose values stay as they are, or -1.
  Verdicts judge(const std::vector<bool>& rounded, const BitConfig& config, int float_values = -1) const {
    torch::NoGradGuard guard;
    const PartlyRounded quantizers(rounded, float_values);
    Verdicts result;
    for (std::size_t b = 0; b < batches_.size(); ++b) {
      const Tensor scores = network_->forward_config(config, stems_[b], &quantizers), labels = batches_[b].labels;
      const Tensor hit = (scores.argmax(1) == labels).to(torch::kByte).contiguous();
      const Tensor loss = -torch::log_softmax(scores, 1).gather(1, labels.unsqueeze(1)).to(torch::kDouble).contiguous();
      result.right.insert(result.right.end(), hit.data_ptr<std::uint8_t>(), hit.data_ptr<std::uint8_t>() + hit.numel());
      result.loss.insert(result.loss.end(), loss.data_ptr<double>(), loss.data_ptr<double>() + loss.numel());
    }
    return result;
  }
  Verdicts judge(const std::vector<bool>& rounded) const { return judge(rounded, config_); }

  /// All rounded, the layers of `promoted` with a bit more; every set of layers is judged once.
  const Verdicts& promoted(const std::set<int>& promoted) {
    auto known = promoted_.find(promoted);
    if (known == promoted_.end()) known = promoted_.emplace(promoted, judge(every(true), with_more(promoted))).first;
    return known->second;
  }
  /// Over everything rounded, paired over pictures.
  Gain gain(const Verdicts& ours) {
    const Verdicts& base = promoted({});
    std::vector<double> saved;
    for (std::size_t i = 0; i < ours.loss.size(); ++i) saved.push_back(base.loss[i] - ours.loss[i]);
    return {paired_gain(ours.right, {base.right.begin(), base.right.end()}, {}, seed_, kResamples), paired_bootstrap(saved, {}, seed_, kResamples)};
  }

  PromotionLine promote(const std::string& name, const std::vector<int>& order) {
    PromotionLine line{name, {}};
    std::set<int> layers;
    const auto add = [&] { line.points.emplace_back(bytes_of(with_more(layers)), share_right(promoted(layers).right)); };
    add();
    for (const int layer : order) {
      if (config_[static_cast<std::size_t>(layer)].weight == 8) continue;
      if (layers.size() == kMostPromoted) break;
      layers.insert(layer);
      add();
    }
    return line;
  }

 private:
  BitConfig with_more(const std::set<int>& promoted) const {
    BitConfig config = config_;
    for (const int layer : promoted) config[static_cast<std::size_t>(layer)].weight = std::min(8, config[static_cast<std::size_t>(layer)].weight + 1);
    return config;
  }
  std::int64_t bytes_of(const BitConfig& config) const {
    std::int64_t bytes = 0;
    for (std::size_t l = 0; l < config.size(); ++l) bytes += weight_bytes(network_->network(), static_cast<int>(l), config[l].weight);
    return bytes;
  }

  QuantizedNetwork* network_;
  const BitConfig& config_;
  const std::vector<TrainingBatch>& batches_;
  std::uint64_t seed_;
  std::vector<Tensor> stems_;
  std::vector<int> adaptive_;
  std::map<std::set<int>, Verdicts> promoted_;
};

std::vector<int> random_order(std::vector<int> layers, std::uint64_t seed, std::uint64_t index) {
  Random random(seed, "promotion order", index);
  for (std::size_t i = layers.size(); i > 1; --i) std::swap(layers[i - 1], layers[random.below(i)]);
  return layers;
}

json gain_json(const Gain& gain) { return {{"accuracy", interval_json(gain.accuracy)}, {"loss", interval_json(gain.loss)}}; }

template <typename Row>
void sort_by_relief(std::vector<Row>* rows) {
  std::stable_sort(rows->begin(), rows->end(), [](const Row& a, const Row& b) { return a.relief.loss.mean > b.relief.loss.mean; });
}

}  // namespace

BottleneckReport find_bottlenecks(QuantizedNetwork* network, const BitConfig& config, const std::vector<GuidedLayer>& trained,
                                  const std::vector<TrainingBatch>& batches, std::uint64_t seed) {
  Finder finder(network, config, batches, seed);
  BottleneckReport report;
  report.images = finder.promoted({}).right.size();
  report.float_accuracy = share_right(finder.judge(finder.every(false)).right);
  report.accuracy = share_right(finder.promoted({}).right);
  for (const int l : finder.adaptive()) {
    LayerBottleneck row;
    row.layer = l;
    row.name = network->network().layer(l).name;
    row.bits = config[static_cast<std::size_t>(l)].weight;
    row.parameters = network->network().weight_count(l);
    row.macs = network->network().macs(l);
    row.bytes = weight_bytes(network->network(), l, row.bits);
    row.trained = trained[static_cast<std::size_t>(l)];
    row.solo_drop = report.float_accuracy - share_right(finder.judge(finder.every_but(l, false)).right);
    row.relief = finder.gain(finder.judge(finder.every_but(l, true)));
    row.promotion = finder.gain(finder.promoted({l}));
    const Interval& relief = row.relief.accuracy;
    row.flagged = (relief.mean >= kFlagRelief && relief.low > 0) || (row.trained.distance > kFlagDistance && row.trained.conflict < kFlagConflict);
    row.suggested_bits = std::min(8, row.bits + (row.flagged ? 1 : 0));
    report.layers.push_back(std::move(row));
  }
  for (const FusedStep& step : fuse(network->network()))
    if (step.layer + 1 < network->network().layer_count())
      report.values.push_back({network->network().layer(step.layer).name, finder.gain(finder.judge(finder.every(true), config, step.layer))});
  double total = 0;
  for (const LayerBottleneck& row : report.layers) total += std::max(0.0, row.relief.loss.mean);
  for (LayerBottleneck& row : report.layers) row.share = total > 0 ? std::max(0.0, row.relief.loss.mean) / total : 0;

  std::vector<LayerBottleneck> by_byte = report.layers;
  std::stable_sort(by_byte.begin(), by_byte.end(), [](const LayerBottleneck& a, const LayerBottleneck& b) {
    return a.relief.loss.mean * static_cast<double>(b.bytes) > b.relief.loss.mean * static_cast<double>(a.bytes);
  });
  std::vector<int> advised, all;
  for (const LayerBottleneck& row : by_byte) {
    all.push_back(row.layer);
    if (row.flagged) advised.push_back(row.layer);
  }
  report.promotions.push_back(finder.promote("as advised", advised));
  report.promotions.push_back(finder.promote("by relief per byte", all));
  for (int i = 0; i < kRandomOrders; ++i)
    report.promotions.push_back(finder.promote("random order " + std::to_string(i + 1), random_order(finder.adaptive(), seed, static_cast<std::uint64_t>(i))));
  sort_by_relief(&report.layers);
  sort_by_relief(&report.values);
  if (!report.layers.empty())
    report.best_promotion = std::max_element(report.layers.begin(), report.layers.end(), [](const LayerBottleneck& a, const LayerBottleneck& b) {
                              return a.promotion.loss.mean < b.promotion.loss.mean;
                            })->name;
  return report;
}

json bottlenecks_json(const BottleneckReport& report) {
  json layers = json::array(), values = json::array(), promotions = json::array();
  const auto finite = [](double value) { return std::isfinite(value) ? json(value) : json(nullptr); };
  for (const LayerBottleneck& row : report.layers)
    layers.push_back({{"name", row.name}, {"parameters", row.parameters}, {"macs", row.macs}, {"bits", row.bits}, {"bytes", row.bytes},
                      {"grid_distance", row.trained.distance}, {"near_level", row.trained.near}, {"sqnr_db", finite(row.trained.sqnr_db)},
                      {"conflict", row.trained.conflict}, {"solo_drop", row.solo_drop}, {"relief", gain_json(row.relief)},
                      {"promotion", gain_json(row.promotion)}, {"share_of_relief", row.share}, {"flagged", row.flagged}, {"suggested_bits", row.suggested_bits}});
  for (const ValueBottleneck& row : report.values) values.push_back({{"name", row.name}, {"relief", gain_json(row.relief)}});
  for (const PromotionLine& line : report.promotions) {
    json points = json::array();
    for (const auto& [bytes, accuracy] : line.points) points.push_back({{"weight_bytes", bytes}, {"accuracy", accuracy}});
    promotions.push_back({{"order", line.name}, {"points", points}});
  }
  const json weights_of{{"end_of_training", {"grid_distance", "near_level", "sqnr_db"}},
                        {"all_while_pulled", {"conflict"}},
                        {"before_pull", {"float_weights_accuracy", "accuracy", "solo_drop", "relief", "promotion", "share_of_relief", "values",
                                         "best_promotion", "promotions"}},
                        {"several", {"flagged", "suggested_bits"}}};
  return {{"schema", "bitpilot.bottlenecks/2"}, {"weights_of", weights_of}, {"before_pull_at", report.before_pull_at}, {"images", report.images}, {"float_weights_accuracy", report.float_accuracy},
          {"accuracy", report.accuracy}, {"layers", layers}, {"values", values}, {"best_promotion", report.best_promotion},
          {"promotions", promotions}};
}

std::string reliefs_svg(const BottleneckReport& report) {
  Plot plot;
  plot.title = "What each layer's rounding costs (" + std::to_string(report.images) + " pictures)";
  plot.x_label = "layer, the greatest relief first; suggested bits where flagged";
  plot.y_label = "cross-entropy saved";
  PlotSeries relief{"relief: all rounded but this", PlotSeries::Kind::kBars, {}, {}, {}};
  PlotSeries promotion{"one bit more in this alone", PlotSeries::Kind::kBars, {}, {}, {}};
  for (const LayerBottleneck& row : report.layers) {
    const double at = static_cast<double>(plot.categories.size());
    plot.categories.push_back(row.name);
    relief.labels.push_back(row.flagged ? std::to_string(row.suggested_bits) : "");
    for (const auto& [series, gain] : {std::pair{&relief, &row.relief}, std::pair{&promotion, &row.promotion}}) {
      series->points.emplace_back(at, gain->loss.mean);
      series->intervals.emplace_back(gain->loss.low, gain->loss.high);
    }
  }
  plot.series = {relief, promotion};
  return svg(plot);
}

std::string promotions_svg(const BottleneckReport& report) {
  Plot plot;
  plot.title = "Layers promoted by one bit, nothing retrained (" + std::to_string(report.images) + " pictures)";
  plot.x_label = "bytes of all weights";
  plot.y_label = "accuracy, %";
  PlotSeries random{"random orders", PlotSeries::Kind::kPoints, {}, {}, {}};
  for (std::size_t i = 0; i < report.promotions.size(); ++i) {
    const PromotionLine& promotion = report.promotions[i];
    const bool drawn_by_chance = i + kRandomOrders >= report.promotions.size();
    const std::string name = promotion.name + (promotion.points.size() == 1 ? ": no layer" : "");
    if (!drawn_by_chance) plot.series.push_back({name, PlotSeries::Kind::kLine, {}, {}, {}});
    for (const auto& [bytes, accuracy] : promotion.points)
      (drawn_by_chance ? random : plot.series.back()).points.emplace_back(static_cast<double>(bytes), 100 * accuracy);
  }
  plot.series.push_back(std::move(random));
  return svg(plot);
}

}  // namespace bitpilot
