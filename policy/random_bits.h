#pragma once

#include <cstdint>
#include <vector>

#include "runtime/core/cost.h"

namespace bitpilot {

/// `count` configurations at whole width whose weights and activations stand at rungs drawn independently for every layer,
/// with one tilt for all ladders (probability of rung r proportional to exp(tilt * r)) such that the mean relative cost is
/// `relative`, or as near as the ladders let it come.  What a policy must beat at equal mean cost.
std::vector<BitConfig> random_bits(const BitSpace& space, const CostTable& cost, double relative, std::size_t count,
                                   std::uint64_t seed);

}  // namespace bitpilot
