#pragma once

#include <cstdint>
#include <vector>

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

}  // namespace bitpilot
