#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace bitpilot {

/// Durations of one thing in any unit, measured now and then between others: on a shared machine only the middle of many short
/// turns says anything.
class Samples {
 public:
  void add(double duration) {
    durations_.push_back(duration);
    sorted_ = false;
  }
  bool empty() const { return durations_.empty(); }
  std::size_t size() const { return durations_.size(); }
  /// The sample below which a share `q` of all lies; 0 without samples.
  double quantile(double q) {
    if (durations_.empty()) return 0;
    if (!sorted_) std::sort(durations_.begin(), durations_.end());
    sorted_ = true;
    return durations_[std::min(durations_.size() - 1, static_cast<std::size_t>(q * static_cast<double>(durations_.size())))];
  }
  double median() { return quantile(0.5); }
  /// Median distance from the median: the spread that interruptions do not touch.
  double deviation() {
    Samples distances;
    const double middle = median();
    for (const double duration : durations_) distances.add(std::abs(duration - middle));
    return distances.median();
  }

 private:
  std::vector<double> durations_;
  bool sorted_ = false;
};

}  // namespace bitpilot
