#pragma once

#include <algorithm>
#include <vector>

namespace bitpilot {

/// Durations of one thing, measured now and then between others: on a shared machine only the middle of many short
/// turns says anything.
class Samples {
 public:
  void add(double seconds) {
    seconds_.push_back(seconds);
    sorted_ = false;
  }
  bool empty() const { return seconds_.empty(); }
  std::size_t size() const { return seconds_.size(); }
  /// The sample below which a share `q` of all lies; 0 without samples.
  double quantile(double q) {
    if (seconds_.empty()) return 0;
    if (!sorted_) std::sort(seconds_.begin(), seconds_.end());
    sorted_ = true;
    return seconds_[std::min(seconds_.size() - 1, static_cast<std::size_t>(q * static_cast<double>(seconds_.size())))];
  }
  double median() { return quantile(0.5); }

 private:
  std::vector<double> seconds_;
  bool sorted_ = false;
};

}  // namespace bitpilot
