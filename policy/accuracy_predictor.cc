#include "policy/accuracy_predictor.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bitpilot {
namespace {

constexpr int kWidths = 7;     // 2..8 bits
constexpr int kCondition = 4;  // granularity and symmetry, two flags each

Rows one_hot(const std::vector<Subnet>& subnets) {
  const auto layers = static_cast<int>(subnets.front().config.size());
  Rows rows{kCondition + 2 * kWidths * layers, {}};
  for (const Subnet& subnet : subnets) {
    std::vector<float> row(static_cast<std::size_t>(rows.columns), 0.0F);
    row[subnet.form.granularity == Granularity::kTensor ? 0 : 1] = 1;
    row[subnet.form.symmetry == Symmetry::kAsymmetric ? 2 : 3] = 1;
    for (int l = 1; l + 1 < layers; ++l) {
      const LayerBits& bits = subnet.config[static_cast<std::size_t>(l)];
      const int first = kCondition + 2 * kWidths * l;
      row[static_cast<std::size_t>(first + bits.weight - 2)] = 1;
      row[static_cast<std::size_t>(first + kWidths + bits.activation - 2)] = 1;
    }
    rows.values.insert(rows.values.end(), row.begin(), row.end());
  }
  return rows;
}

}  // namespace

AccuracyPredictor::AccuracyPredictor(const std::vector<Subnet>& subnets, const std::vector<double>& qualities,
                                     const PredictorOptions& options) {
  const auto count = static_cast<double>(qualities.size());
  mean_ = std::accumulate(qualities.begin(), qualities.end(), 0.0) / count;
  for (const double quality : qualities) deviation_ += (quality - mean_) * (quality - mean_) / count;
  deviation_ = std::sqrt(deviation_);
  Rows targets{1, {}};
  for (const double quality : qualities) targets.values.push_back(deviation_ > 0 ? static_cast<float>((quality - mean_) / deviation_) : 0.0F);
  FitOptions fit;
  fit.hidden = options.hidden;
  fit.epochs = options.epochs;
  fit.batch = options.batch;
  fit.learning_rate = options.learning_rate;
  fit.weight_decay = 1e-5;
  fit.seed = options.seed;
  network_ = fit_regression(one_hot(subnets), targets, {}, fit);
}

std::vector<double> AccuracyPredictor::predict(const std::vector<Subnet>& subnets) const {
  if (subnets.empty()) return {};
  const Rows rows = evaluate_network(network_, one_hot(subnets));
  std::vector<double> result;
  for (const float correction : rows.values) result.push_back(mean_ + deviation_ * static_cast<double>(correction));
  return result;
}

BandedCorrelation kendall_in_bands(const std::vector<double>& a, const std::vector<double>& b, const std::vector<double>& cost, double band) {
  BandedCorrelation result;
  double agree = 0, pairs_a = 0, pairs_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      if (std::max(cost[i], cost[j]) > (1 + band) * std::min(cost[i], cost[j])) continue;
      const int of_a = (a[i] > a[j]) - (a[i] < a[j]), of_b = (b[i] > b[j]) - (b[i] < b[j]);
      ++result.pairs;
      agree += of_a * of_b;
      pairs_a += of_a != 0;
      pairs_b += of_b != 0;
    }
  if (pairs_a > 0 && pairs_b > 0) result.kendall = agree / std::sqrt(pairs_a * pairs_b);
  return result;
}

double kendall(const std::vector<double>& a, const std::vector<double>& b) {
  return kendall_in_bands(a, b, std::vector<double>(a.size(), 1.0)).kendall;
}

double mean_bits(const BitConfig& config, const BitSpace& space) {
  double sum = 0, count = 0;
  for (std::size_t l = 0; l < config.size(); ++l) {
    if (space.layers[l].fixed) continue;
    sum += config[l].weight + config[l].activation;
    count += 2;
  }
  return count > 0 ? sum / count : 8;
}

}  // namespace bitpilot
