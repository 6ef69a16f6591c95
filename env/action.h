#pragma once

#include <variant>

#include "runtime/policy_head.h"

namespace bitpilot {

/// Look at the picture (again): the bit-widths in force and the continuous per-layer distributions they are the rounded
/// mode of.
struct TakeLook {
  int anchor = 0;
  BitConfig config;
  std::vector<LayerDistribution> distributions;
};

/// Be content with the look that was taken.
struct StopLooking {};

using Action = std::variant<TakeLook, StopLooking>;

}  // namespace bitpilot
