#include "policy/paired_bootstrap.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "runtime/core/random.h"

namespace bitpilot {

Interval paired_bootstrap(const std::vector<double>& differences, const std::vector<std::uint32_t>& group,
                          std::uint64_t seed, int resamples) {
  Interval interval;
  if (differences.empty()) return interval;
  struct Cluster {
    double sum = 0, count = 0;
  };
  std::vector<Cluster> clusters;
  std::map<std::uint32_t, std::size_t> at;
  for (std::size_t i = 0; i < differences.size(); ++i) {
    const auto [found, added] = at.emplace(group.empty() ? static_cast<std::uint32_t>(i) : group[i], clusters.size());
    if (added) clusters.emplace_back();
    clusters[found->second].sum += differences[i];
    clusters[found->second].count += 1;
    interval.mean += differences[i];
  }
  interval.mean /= static_cast<double>(differences.size());
  std::vector<double> means;
  double mean_sum = 0, mean_square = 0;
  for (int r = 0; r < resamples; ++r) {
    Random random(seed, "paired_bootstrap", static_cast<std::uint64_t>(r));
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < clusters.size(); ++i) {
      const Cluster& drawn = clusters[random.below(clusters.size())];
      sum += drawn.sum;
      count += drawn.count;
    }
    means.push_back(sum / count);
    mean_sum += means.back();
    mean_square += means.back() * means.back();
  }
  std::sort(means.begin(), means.end());
  const auto quantile = [&](double share) {
    return means[static_cast<std::size_t>(std::lround(share * (resamples - 1)))];
  };
  interval.low = quantile(0.025);
  interval.high = quantile(0.975);
  interval.standard_error =
      std::sqrt(std::max(0.0, mean_square / resamples - (mean_sum / resamples) * (mean_sum / resamples)));
  return interval;
}

Interval paired_gain(const std::vector<std::uint8_t>& ours, const std::vector<double>& theirs,
                     const std::vector<std::uint32_t>& group, std::uint64_t seed, int resamples) {
  std::vector<double> difference(ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i) difference[i] = ours[i] - theirs[i];
  return paired_bootstrap(difference, group, seed, resamples);
}

nlohmann::json interval_json(const Interval& interval) {
  return {{"mean", interval.mean}, {"ci95", {interval.low, interval.high}}, {"standard_error", interval.standard_error}};
}

double share_right(const std::vector<std::uint8_t>& correct) {
  return std::accumulate(correct.begin(), correct.end(), 0.0) / std::max<double>(1.0, static_cast<double>(correct.size()));
}

}  // namespace bitpilot
