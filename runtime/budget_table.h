#pragma once

#include <cstdint>
#include <vector>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// Lambda of picture `number` at which a table (validation data) promises a mean relative cost of `relative`: linear between its
/// points, the nearest end outside of them.  Inside a jump (kJumpRatio in policy_rules.h), where no lambda has that cost, pictures take its two sides in
/// turns, evenly by the golden ratio, so that their mean has it.  The table must not be empty.
double lambda_for(const std::vector<BudgetPoint>& table, double relative, std::uint64_t number = 0);

/// The model's table from lambda to mean relative cost, with or without what the guard costs (DecisionRule::guard).  A table in milliseconds
/// stays as it is: what the guard costs is not known apart, so a stream without it spends a little less than it may.
std::vector<BudgetPoint> budget_table(const ModelData& model, bool guard);

/// Least and most mean relative cost that any lambda has.
struct BudgetRange {
  double least = 0, most = 0;
};
/// The table must not be empty.
BudgetRange budget_range(const std::vector<BudgetPoint>& table);

}  // namespace bitpilot
