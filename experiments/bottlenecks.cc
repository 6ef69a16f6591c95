#include "experiments/bottlenecks.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "experiments/size_account.h"
#include "experiments/svg_plot.h"
#include "runtime/core/random.h"

namespace bitpilot {

using nlohmann::json;
using torch::Tensor;

namespace {

constexpr double kFlagRelief = 0.005, kFlagDistance = 1.0 / 24, kFlagConflict = -0.2;
constexpr int kRandomOrders = 5, kResamples = 1000;

/// Nested codes in the layers that are rounded, the weights themselves in the others.
class PartlyRounded : public Quantizers {
 public:
  explicit PartlyRounded(std::vector<bool> rounded) : rounded_(std::move(rounded)) {}
  Tensor weights(int layer, const Tensor& weight, const Tensor& log_step, int bits) const override {
    return rounded_[static_cast<std::size_t>(layer)] ? quantize_weights(weight, log_step, bits) : weight;
  }
  Tensor activations(int, const Tensor& value, const ActivationQuantizer& quantizer) const override {
    return quantize_activations(value, quantizer);
  }

 private:
  std::vector<bool> rounded_;
};

class Finder {
 public:
  Finder(QuantizedNetwork* network, const BitConfig& config, const std::vector<TrainingBatch>& batches)
      : network_(network), config_(config), batches_(batches) {
    torch::NoGradGuard guard;
    for (const TrainingBatch& batch : batches) stems_.push_back(network->stem(batch.src, {/*batch_statistics=*/false, /*momentum=*/0}));
    for (int l = 0; l < network->network().layer_count(); ++l)
      if (!network->network().fixed(l)) adaptive_.push_back(l);
  }

  const std::vector<int>& adaptive() const { return adaptive_; }
  std::size_t layers() const { return config_.size(); }

  /// Of each picture whether it is told right; `rounded` [layer].
  std::vector<std::uint8_t> right(const std::vector<bool>& rounded, const BitConfig& config) const {
    torch::NoGradGuard guard;
    const PartlyRounded quantizers(rounded);
    std::vector<std::uint8_t> result;
    for (std::size_t b = 0; b < batches_.size(); ++b) {
      const Tensor hit = (network_->forward_config(config, stems_[b], &quantizers).argmax(1) == batches_[b].labels).to(torch::kByte).contiguous();
      result.insert(result.end(), hit.data_ptr<std::uint8_t>(), hit.data_ptr<std::uint8_t>() + hit.numel());
    }
    return result;
  }

  PromotionLine promote(const std::string& name, const std::vector<int>& order) const {
    PromotionLine line{name, {}};
    BitConfig config = config_;
    const auto add = [&] { line.points.emplace_back(bytes_of(config), share_right(right(std::vector<bool>(layers(), true), config))); };
    add();
    for (const int layer : order) {
      LayerBits& bits = config[static_cast<std::size_t>(layer)];
      if (bits.weight == 8) continue;
      ++bits.weight;
      add();
    }
    return line;
  }

 private:
  std::int64_t bytes_of(const BitConfig& config) const {
    std::int64_t bytes = 0;
    for (std::size_t l = 0; l < config.size(); ++l) bytes += weight_bytes(network_->network(), static_cast<int>(l), config[l].weight);
    return bytes;
  }

  QuantizedNetwork* network_;
  const BitConfig& config_;
  const std::vector<TrainingBatch>& batches_;
  std::vector<Tensor> stems_;
  std::vector<int> adaptive_;
};

std::vector<int> random_order(std::vector<int> layers, std::uint64_t seed, std::uint64_t index) {
  Random random(seed, "promotion order", index);
  for (std::size_t i = layers.size(); i > 1; --i) std::swap(layers[i - 1], layers[random.below(i)]);
  return layers;
}

}  // namespace

BottleneckReport find_bottlenecks(QuantizedNetwork* network, const BitConfig& config, const std::vector<GuidedLayer>& trained,
                                  const std::vector<TrainingBatch>& batches, std::uint64_t seed) {
  const Finder finder(network, config, batches);
  const std::vector<bool> none(finder.layers(), false), all(finder.layers(), true);
  const std::vector<std::uint8_t> floats = finder.right(none, config), rounded = finder.right(all, config);
  BottleneckReport report;
  report.images = rounded.size();
  report.float_accuracy = share_right(floats);
  report.accuracy = share_right(rounded);
  for (const int l : finder.adaptive()) {
    std::vector<bool> solo = none, others = all;
    solo[static_cast<std::size_t>(l)] = true;
    others[static_cast<std::size_t>(l)] = false;
    LayerBottleneck row;
    row.layer = l;
    row.name = network->network().layer(l).name;
    row.bits = config[static_cast<std::size_t>(l)].weight;
    row.parameters = network->network().weight_count(l);
    row.macs = network->network().macs(l);
    row.bytes = weight_bytes(network->network(), l, row.bits);
    row.trained = trained[static_cast<std::size_t>(l)];
    row.solo_drop = report.float_accuracy - share_right(finder.right(solo, config));
    row.relief = paired_gain(finder.right(others, config), {rounded.begin(), rounded.end()}, {}, seed, kResamples);
    row.flagged = (row.relief.mean >= kFlagRelief && row.relief.low > 0) || (row.trained.distance > kFlagDistance && row.trained.conflict < kFlagConflict);
    row.suggested_bits = std::min(8, row.bits + (row.flagged ? 1 : 0));
    report.layers.push_back(std::move(row));
  }
  double total = 0;
  for (const LayerBottleneck& row : report.layers) total += std::max(0.0, row.relief.mean);
  for (LayerBottleneck& row : report.layers) row.share = total > 0 ? std::max(0.0, row.relief.mean) / total : 0;

  std::vector<LayerBottleneck> advice = report.layers;
  std::stable_sort(advice.begin(), advice.end(), [](const LayerBottleneck& a, const LayerBottleneck& b) {
    if (a.flagged != b.flagged) return a.flagged;
    return a.relief.mean * static_cast<double>(b.bytes) > b.relief.mean * static_cast<double>(a.bytes);
  });
  std::vector<int> order;
  for (const LayerBottleneck& row : advice) order.push_back(row.layer);
  report.promotions.push_back(finder.promote("as advised", order));
  for (int i = 0; i < kRandomOrders; ++i)
    report.promotions.push_back(finder.promote("random order " + std::to_string(i + 1), random_order(finder.adaptive(), seed, static_cast<std::uint64_t>(i))));
  std::stable_sort(report.layers.begin(), report.layers.end(),
                   [](const LayerBottleneck& a, const LayerBottleneck& b) { return a.relief.mean > b.relief.mean; });
  return report;
}

json bottlenecks_json(const BottleneckReport& report) {
  json layers = json::array(), promotions = json::array();
  for (const LayerBottleneck& row : report.layers)
    layers.push_back({{"name", row.name}, {"parameters", row.parameters}, {"macs", row.macs}, {"bits", row.bits}, {"bytes", row.bytes},
                      {"grid_distance", row.trained.distance}, {"near_level", row.trained.near}, {"sqnr_db", row.trained.sqnr_db},
                      {"conflict", row.trained.conflict}, {"solo_drop", row.solo_drop}, {"relief", interval_json(row.relief)},
                      {"share_of_relief", row.share}, {"flagged", row.flagged}, {"suggested_bits", row.suggested_bits}});
  for (const PromotionLine& line : report.promotions) {
    json points = json::array();
    for (const auto& [bytes, accuracy] : line.points) points.push_back({{"weight_bytes", bytes}, {"accuracy", accuracy}});
    promotions.push_back({{"order", line.name}, {"points", points}});
  }
  return {{"schema", "bitpilot.bottlenecks/1"}, {"images", report.images}, {"float_weights_accuracy", report.float_accuracy},
          {"accuracy", report.accuracy}, {"layers", layers}, {"promotions", promotions}};
}

std::string reliefs_svg(const BottleneckReport& report) {
  Plot plot;
  plot.title = "What each layer's rounding costs (" + std::to_string(report.images) + " pictures)";
  plot.x_label = "layer, the greatest relief first; suggested bits where flagged";
  plot.y_label = "points of accuracy";
  PlotSeries relief{"relief: all but this rounded", PlotSeries::Kind::kBars, {}, {}, {}};
  PlotSeries solo{"solo drop: only this rounded", PlotSeries::Kind::kBars, {}, {}, {}};
  for (const LayerBottleneck& row : report.layers) {
    const double at = static_cast<double>(plot.categories.size());
    plot.categories.push_back(row.name);
    relief.points.emplace_back(at, 100 * row.relief.mean);
    relief.intervals.emplace_back(100 * row.relief.low, 100 * row.relief.high);
    relief.labels.push_back(row.flagged ? std::to_string(row.suggested_bits) : "");
    solo.points.emplace_back(at, 100 * row.solo_drop);
  }
  plot.series = {relief, solo};
  return svg(plot);
}

std::string promotions_svg(const BottleneckReport& report) {
  Plot plot;
  plot.title = "Layers promoted by one bit, nothing retrained (" + std::to_string(report.images) + " pictures)";
  plot.x_label = "bytes of all weights";
  plot.y_label = "accuracy, %";
  PlotSeries random{"random orders", PlotSeries::Kind::kPoints, {}, {}, {}};
  for (const PromotionLine& promotion : report.promotions) {
    const bool advised = plot.series.empty();
    if (advised) plot.series.push_back({promotion.name, PlotSeries::Kind::kLine, {}, {}, {}});
    for (const auto& [bytes, accuracy] : promotion.points)
      (advised ? plot.series.front() : random).points.emplace_back(static_cast<double>(bytes), 100 * accuracy);
  }
  plot.series.push_back(std::move(random));
  return svg(plot);
}

}  // namespace bitpilot
