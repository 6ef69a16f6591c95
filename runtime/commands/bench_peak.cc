#include "runtime/commands/bench_peak.h"

namespace bitpilot {
namespace {

constexpr int kRounds = 400;  // between two looks at the clock: microseconds, beside which a look is nothing

}  // namespace

double PeakMeter::rate() {
  const double start = now_();
  double products = 0, passed = 0;
  while (passed < kBurstSeconds) {
    products += static_cast<double>(work_(kRounds));
    passed = now_() - start;
  }
  return products / passed;
}

void PeakMeter::burst() {
  const double start = now_();
  rate();
  rates_.add(rate());
  spent_ += now_() - start;
}

void PeakMeter::keep_up(double elapsed) {
  // Bursts of this very call lengthen the time that they get a share of; the next call sees that.
  while (bursts() < kLeastBursts || spent_ < kShare * elapsed) burst();
}

}  // namespace bitpilot
