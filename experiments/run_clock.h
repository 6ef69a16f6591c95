#pragma once

#include <chrono>
#include <map>
#include <string>

namespace bitpilot {

/// Seconds that the parts of a run have taken so far, summed over the calls that made it: {"float": s, "supernet": s, "policy": s}, a part
/// that was taken from another run left out; RFQuant's "search" and its "finalists" stand apart from the rest, "policy".  They stand in a file of their own because a resumed run ends in the same bytes and not in
/// the same time.
class RunClock {
 public:
  /// Goes on from what `file` holds; a file that is missing or damaged counts as nothing.
  explicit RunClock(std::string file);
  /// From now on `part` runs; keeps what the one before it took.
  void begin(const std::string& part);
  /// Writes what has passed; what a killed call did behind its last keep() is not counted.  Throws Error(kMachine) if it cannot.
  void keep();

 private:
  using Clock = std::chrono::steady_clock;
  std::string file_, part_;
  std::map<std::string, double> seconds_;
  Clock::time_point since_;
};

}  // namespace bitpilot
