#pragma once

#include <vector>

#include "policy/policy_sweep.h"
#include "runtime/budget_table.h"

namespace bitpilot {

/// What a sweep decides at a mean cost: row i at lambda_for(table, relative, i), as `eval --budget` decides it on the same pictures.
std::vector<PolicyChoice> choose_at_cost(const PolicySweep& sweep, const std::vector<BudgetPoint>& table, double relative);

/// Two neighbouring lambdas (kJumpRatio) with their mean costs on a sweep, on both sides of `relative` or at the end that is nearest to it: a
/// table for choose_at_cost, so that a sweep is judged at a cost of its own where one price has none.
std::vector<BudgetPoint> around_cost(const PolicySweep& sweep, double relative);

}  // namespace bitpilot
