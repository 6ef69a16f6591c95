#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/format/model_data.h"
#include "runtime/sinks/in_order.h"

namespace bitpilot {

/// Lambda of picture `number` at which the model's table (validation data) promises a mean relative cost of `relative`: linear between its
/// points, the nearest end outside of them.  Inside a jump (kJumpRatio), where no lambda has that cost, pictures take its two sides in
/// turns, evenly by the golden ratio, so that their mean has it.  The table must not be empty.
double lambda_for(const std::vector<BudgetPoint>& table, double relative, std::uint64_t number = 0);

/// The model's table from lambda to mean relative cost, with or without what the guard costs (DecisionRule::guard).  A table in milliseconds
/// stays as it is: what the guard costs is not known apart, so a stream without it spends a little less than it may.
std::vector<BudgetPoint> budget_table(const ModelData& model, bool guard);

inline constexpr char kGuardHelp[] =
    "off: statistics of a picture only where the policy's choices read them, so no check against the training range and no quality; on if "
    "not given";
/// Reads a --guard: "on" or "off".  Throws Error(kUsage) on anything else.
bool read_guard(const std::string& text);

/// Reads a --budget: a mean relative cost in (0, 1], or milliseconds ("2.5ms") where the model's policy is priced in time.  Returns the
/// relative cost in the policy's unit.  Throws Error(kUsage) on anything else, and where the model has no
/// table.
double read_budget(const std::string& text, const ModelData& model);

/// Holds the average cost of a stream at its budget though its pictures differ from validation's: u += (budget - cost)
/// / 300 for each picture, |u| <= budget / 2, lambda = lambda_for(budget + u).  The lambda of picture n follows from
/// pictures up to n - InOrder::kWindow, so that the number of threads changes nothing.
class BudgetIntegrator {
 public:
  static constexpr double kFrames = 300;
  BudgetIntegrator(std::vector<BudgetPoint> table, double budget);
  /// For picture `number`; pictures up to number - InOrder::kWindow must have been added.
  double lambda(std::uint64_t number) const;
  /// What picture `number` cost, in order.
  void add(std::uint64_t number, double relative);
  /// Picture `number` was not judged.
  void pass(std::uint64_t number);

 private:
  std::vector<BudgetPoint> table_;
  double budget_, correction_ = 0;
  std::array<double, 2 * InOrder::kWindow> after_{};  ///< correction after picture n, at n modulo the size
};

}  // namespace bitpilot
