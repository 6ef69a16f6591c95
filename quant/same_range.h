#pragma once

#include <cmath>

#include "runtime/core/integer.h"

namespace bitpilot {

/// Added to the logarithm of an activation step at `bits`: the step that covers the same range at `wanted` bits.
inline double same_range(int bits, int wanted) {
  return std::log(static_cast<double>(integer::unsigned_highest(bits)) / integer::unsigned_highest(wanted));
}

}  // namespace bitpilot
