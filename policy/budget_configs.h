#pragma once

#include <string>
#include <vector>

#include "runtime/core/cost.h"
#include "runtime/core/random.h"

namespace bitpilot {

/// What configurations are searched and drawn among: a space's candidates that are not below `least`, at one width of every layer.
struct DrawSpace {
  const BitSpace& space;
  const CostTable& cost;
  BitConfig least = {};          ///< bits that no layer goes below; empty: the candidates alone bind
  std::vector<int> blocks = {};  ///< active blocks of every layer; empty: all
  double relative(const BitConfig& config) const { return cost.cost(config) / cost.reference(); }
};

/// Bit-widths that a layer's weights or activations may have, ascending.
std::vector<int> offered(const DrawSpace& from, std::size_t layer, bool weights);

/// Every adaptive layer at its highest / lowest offered bits.
BitConfig highest_config(const DrawSpace& from);
BitConfig lowest_config(const DrawSpace& from);
/// Every adaptive layer at the pair of offered bits that costs least: where measured times are not monotone this is not the lowest one.
BitConfig cheapest_config(const DrawSpace& from);

/// A cost as a message tells it: four digits, rounded up, so that what it names suffices.
std::string at_least(double cost);
/// Throws Error(kUsage), naming the least possible, if no configuration's relative cost is within the budget.
void check_budget(const DrawSpace& from, double budget);

/// A configuration with every adaptive layer's bits drawn uniformly from what is offered.
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
