#include "policy/temperature.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "env/reward.h"

namespace bitpilot {
namespace {

double mean_nll(const OutcomeTable& table, std::size_t anchor, double temperature) {
  double total = 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto scores = table.scores_of(i, anchor);
    const double highest = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (const float score : scores) sum += std::exp((score - highest) / temperature);
    total += std::log(sum) - (scores[static_cast<std::size_t>(table.labels[i])] - highest) / temperature;
  }
  return total;
}

}  // namespace

float fit_temperature(const OutcomeTable& table, std::size_t anchor) {
  if (table.size() == 0) return 1.0F;
  constexpr double kGolden = 0.6180339887498949;
  double low = std::log(0.25), high = std::log(4.0);
  double a = high - kGolden * (high - low), b = low + kGolden * (high - low);
  double at_a = mean_nll(table, anchor, std::exp(a)), at_b = mean_nll(table, anchor, std::exp(b));
  for (int step = 0; step < 16; ++step) {
    if (at_a < at_b) {
      high = b;
      b = a;
      at_b = at_a;
      a = high - kGolden * (high - low);
      at_a = mean_nll(table, anchor, std::exp(a));
    } else {
      low = a;
      a = b;
      at_a = at_b;
      b = low + kGolden * (high - low);
      at_b = mean_nll(table, anchor, std::exp(b));
    }
  }
  return static_cast<float>(std::exp((low + high) / 2));
}

double calibration_error(const OutcomeTable& table, std::size_t anchor, float temperature) {
  constexpr std::size_t kBins = 15;
  std::array<double, kBins> confidence{}, right{}, count{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto scores = table.scores_of(i, anchor);
    const double highest = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (const float score : scores) sum += std::exp((score - highest) / temperature);
    const auto bin = std::min(kBins - 1, static_cast<std::size_t>(static_cast<double>(kBins) / sum));
    confidence[bin] += 1.0 / sum;
    right[bin] += top_class(scores) == table.labels[i] ? 1 : 0;
    count[bin] += 1;
  }
  double error = 0;
  for (std::size_t b = 0; b < kBins; ++b) error += std::abs(confidence[b] - right[b]);
  return table.size() == 0 ? 0 : error / static_cast<double>(table.size());
}

}  // namespace bitpilot
