#pragma once

#include "runtime/core/cost.h"
#include "runtime/core/random.h"

namespace bitpilot {

/// What configurations are drawn from: a space's candidates that are not below `least` (empty: all).
struct DrawSpace {
  const BitSpace& space;
  const CostTable& cost;
  BitConfig least;
};

/// Whole-width configuration with every adaptive layer's bits drawn uniformly from its candidates.
BitConfig uniform_draw(const DrawSpace& from, Random& random);

/// Moves random layers' weights or activations a rung towards the budget until the relative cost lies in
/// [(1 - tolerance) * budget, budget].  False if 2,000 moves did not get there; `config` is then somewhere near.
bool move_to_budget(const DrawSpace& from, double budget, double tolerance, Random& random, BitConfig& config);

/// `count` different random configurations of (nearly) equal cost: uniform draws moved to the budget.
/// Throws Error(kUsage) if the space does not hold as many.
std::vector<BitConfig> random_configs_at(const DrawSpace& from, double budget, double tolerance, int count, std::uint64_t seed);

/// `count` configurations of costs spread evenly in logarithm between the cheapest and the dearest of the space: what a predictor of
/// accuracy is taught on.  Some may be equal.
std::vector<BitConfig> spread_configs(const DrawSpace& from, int count, std::uint64_t seed);

}  // namespace bitpilot
