#include "runtime/commands/bench_peak.h"

#include <doctest/doctest.h>

using bitpilot::PeakMeter;

namespace {

/// A core with a clock of its own: a million products a round at full speed, slower for a while behind other work.
struct Core {
  static constexpr double kFull = 1e12, kRound = 1e4;  // products a second, a round
  static constexpr double kWaking = 1.5e-4;            // seconds until full speed is back
  double now = 100, speed = kFull, woken = 0;
  std::function<double()> stall = [] { return 0.0; };  ///< seconds lost to others in one piece of work

  std::int64_t work(int rounds) {
    const double products = kRound * rounds;
    now += products / (now < woken ? speed / 3 : speed) + stall();
    return static_cast<std::int64_t>(products);
  }
  void other_work(double seconds) {
    now += seconds;
    woken = now + kWaking;
  }
  PeakMeter meter() {
    return {[this](int rounds) { return work(rounds); }, [this] { return now; }};
  }
};

}  // namespace

TEST_CASE("bench_peak: what ran before a burst does not slow it, however long that took") {
  for (const double pass : {1e-5, 1e-3, 0.3}) {
    Core core;
    PeakMeter meter = core.meter();
    for (int turn = 0; turn < 20; ++turn) {
      core.other_work(pass);
      meter.burst();
    }
    INFO("passes of ", pass, " s");
    CHECK(meter.peak() == doctest::Approx(Core::kFull));
  }
}

TEST_CASE("bench_peak: four fifths of the bursts may be interrupted") {
  Core core;
  PeakMeter meter = core.meter();
  for (int turn = 0; turn < 100; ++turn) {
    core.stall = [&] { return turn % 5 == 0 ? 0.0 : 1e-3; };
    meter.burst();
  }
  CHECK(meter.peak() == doctest::Approx(Core::kFull));
}

TEST_CASE("bench_peak: the peak is the stated quantile of the bursts, not the highest one") {
  Core core;
  PeakMeter meter = core.meter();
  for (int turn = 0; turn < 100; ++turn) {
    core.speed = Core::kFull * (1 + (turn * 37) % 100);  // 1 to 100, in no order
    meter.burst();
  }
  CHECK(meter.peak() == doctest::Approx(Core::kFull * (1 + 100 * PeakMeter::kQuantile)));
}

TEST_CASE("bench_peak: a burst has its length at any speed, and bursts their share of the time among short and long passes") {
  for (const double speed : {0.02, 1.0, 30.0})
    for (const double pass : {1e-5, 1e-3, 0.3}) {
      Core core;
      core.speed = Core::kFull * speed;
      PeakMeter meter = core.meter();
      const double start = core.now;
      double other = 0, last = 0;
      for (int turn = 0; turn < 40 || other < 0.5; ++turn) {
        core.other_work(pass);
        other += pass;
        const std::size_t before = meter.bursts();
        const double begin = core.now;
        meter.keep_up(core.now - start);
        last = core.now - begin;
        CHECK(last >= 2 * PeakMeter::kBurstSeconds * static_cast<double>(meter.bursts() - before));
      }
      INFO("speed ", speed, ", passes of ", pass, " s");
      CHECK(meter.bursts() >= PeakMeter::kLeastBursts);
      const double all = core.now - start, share = (all - other) / all;
      CHECK(share >= 0.9 * PeakMeter::kShare);
      CHECK(share <= 1.2 * PeakMeter::kShare);
    }
}

TEST_CASE("bench_peak: a run too short for a share of it has its least number of bursts") {
  Core core;
  PeakMeter meter = core.meter();
  meter.keep_up(/*elapsed=*/0);
  CHECK(meter.bursts() == PeakMeter::kLeastBursts);
  meter.keep_up(/*elapsed=*/0);
  CHECK(meter.bursts() == PeakMeter::kLeastBursts);
}
