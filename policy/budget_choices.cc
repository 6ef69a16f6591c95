#include "policy/budget_choices.h"

#include <cmath>
#include <map>

#include "runtime/policy_rules.h"

namespace bitpilot {

std::vector<PolicyChoice> choose_at_cost(const PolicySweep& sweep, const std::vector<BudgetPoint>& table, double relative) {
  std::map<double, std::vector<PolicyChoice>> at;  // one price, or the two sides of a jump
  std::vector<PolicyChoice> choices(sweep.size());
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const double lambda = lambda_for(table, relative, i);
    std::vector<PolicyChoice>& side = at[lambda];
    if (side.empty()) side = sweep.choose(lambda);
    choices[i] = side[i];
  }
  return choices;
}

std::vector<BudgetPoint> around_cost(const PolicySweep& sweep, double relative) {
  BudgetPoint low{1e-4, 0}, high{64.0, 0};
  low.relative = sweep.at(low.lambda).relative;
  high.relative = sweep.at(high.lambda).relative;
  while (high.lambda >= low.lambda * kJumpRatio) {
    const double middle = std::sqrt(low.lambda * high.lambda);
    const BudgetPoint point{middle, sweep.at(middle).relative};
    (point.relative > relative ? low : high) = point;
  }
  return {low, high};
}

}  // namespace bitpilot
