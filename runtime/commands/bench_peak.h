#pragma once

#include <cstdint>
#include <functional>

#include "runtime/samples.h"

namespace bitpilot {

/// Products a second that one core reaches at most, from bursts taken now and then between other work, so that they see the same minute
/// of the machine.  What it tells must not hang on that other work: before each burst an untimed one of the same length brings back the
/// core's clock, caches and predictors, and a burst is long beside the clock's own steps.
class PeakMeter {
 public:
  static constexpr double kBurstSeconds = 2e-4;  ///< of a burst at least, and of the warm-up before it
  static constexpr double kShare = 0.1;          ///< of the time that bursts and warm-ups may take
  static constexpr int kLeastBursts = 30;
  static constexpr double kQuantile = 0.9;  ///< of the bursts' rates: one that was interrupted shows less

  /// Kernels::peak: does `rounds` rounds and returns how many products they were.
  using Work = std::function<std::int64_t(int rounds)>;
  /// Seconds since any moment, never less than the time before.
  using Now = std::function<double()>;
  PeakMeter(Work work, Now now) : work_(std::move(work)), now_(std::move(now)) {}

  void burst();
  /// Between two pieces of other work, `elapsed` seconds after the first one's start: takes bursts until they have had their share of the
  /// time, whether the pieces are long or short, and there are kLeastBursts.
  void keep_up(double elapsed);
  std::size_t bursts() const { return rates_.size(); }
  /// Products a second.
  double peak() { return rates_.quantile(kQuantile); }

 private:
  /// Products a second over kBurstSeconds.
  double rate();

  Work work_;
  Now now_;
  Samples rates_;
  double spent_ = 0;
};

}  // namespace bitpilot
