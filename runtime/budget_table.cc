#include "runtime/budget_table.h"

#include <algorithm>

#include "runtime/core/error.h"
#include "runtime/policy_head.h"
#include "runtime/policy_rules.h"

namespace bitpilot {
namespace {

/// Multiples of the golden ratio modulo 1: any stretch of numbers covers 0..1 evenly.
double golden(std::uint64_t number) { return static_cast<double>((number * 0x9e3779b97f4a7c15ULL) >> 11) * 0x1p-53; }

void refuse_empty(const std::vector<BudgetPoint>& table) {
  if (table.empty()) throw Error(ExitCode::kBug, "the budget table is empty", "lambda_for", "call read_budget first");
}

}  // namespace

double lambda_for(const std::vector<BudgetPoint>& table, double relative, std::uint64_t number) {
  refuse_empty(table);
  // Ascending lambda; the cost falls with it, up to noise: the first place where it falls to `relative` counts.
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table[i].relative > relative) continue;
    if (i == 0) return table[0].lambda;
    const BudgetPoint &left = table[i - 1], &right = table[i];
    const double share = (left.relative - relative) / (left.relative - right.relative);
    if (right.lambda < left.lambda * kJumpRatio) return golden(number) < share ? right.lambda : left.lambda;
    return left.lambda + share * (right.lambda - left.lambda);
  }
  return table.back().lambda;
}

std::vector<BudgetPoint> budget_table(const ModelData& model, bool guard) {
  std::vector<BudgetPoint> table = model.budget;
  if (guard || !PolicyHead::has_policy(model)) return table;
  const double saved = guard_relative_cost(model);
  for (BudgetPoint& point : table) point.relative -= saved;
  return table;
}

BudgetRange budget_range(const std::vector<BudgetPoint>& table) {
  refuse_empty(table);
  const auto [least, most] = std::minmax_element(
      table.begin(), table.end(), [](const BudgetPoint& a, const BudgetPoint& b) { return a.relative < b.relative; });
  return {least->relative, most->relative};
}

}  // namespace bitpilot
