#pragma once

namespace bitpilot {

/// Milliseconds of deciding, the looks themselves left out.  A picture pays `choosing`, and what its policy does besides.
struct DecidingTimes {
  double choosing_ms = 0;  ///< confidences and tables: all that a policy does which reads nothing but its looks
  double guard_ms = 0;     ///< image statistics, range check and quality estimate
  double networks_ms = 0;  ///< the networks that read those for a choice
};

}  // namespace bitpilot
