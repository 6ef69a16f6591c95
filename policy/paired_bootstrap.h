#pragma once

#include <cstdint>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bitpilot {

struct Interval {
  double mean = 0, low = 0, high = 0;
  double standard_error = 0;
  bool excludes_zero() const { return low > 0 || high < 0; }
};

/// 95 % percentile interval of the mean of paired differences over pictures.  `group` (empty: every row its own): rows
/// of one source picture are drawn together.  Deterministic for a seed.
Interval paired_bootstrap(const std::vector<double>& differences, const std::vector<std::uint32_t>& group,
                          std::uint64_t seed = 0, int resamples = 1000);
/// The same of what was right [N] minus the share of being right that something else has on each picture [N].
Interval paired_gain(const std::vector<std::uint8_t>& ours, const std::vector<double>& theirs,
                     const std::vector<std::uint32_t>& group, std::uint64_t seed, int resamples);
/// {"mean", "ci95", "standard_error"}.
nlohmann::json interval_json(const Interval& interval);
/// Share of what was right; 0 of nothing.
double share_right(const std::vector<std::uint8_t>& correct);

}  // namespace bitpilot
