#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/budget_table.h"
#include "runtime/engine/engine.h"
#include "runtime/format/model_data.h"
#include "runtime/machine.h"
#include "runtime/sinks/in_order.h"

namespace bitpilot {

inline constexpr char kGuardHelp[] =
    "off: statistics of a picture only where the policy's choices read them, so no check against the training range and no quality; on if "
    "not given";
/// Reads a --guard: "on" or "off".  Throws Error(kUsage) on anything else.
bool read_guard(const std::string& text);

/// Reads a --budget: a mean relative cost in (0, 1], or milliseconds ("2.5ms") where the model's policy is priced in time.  Returns the
/// relative cost in the policy's unit.  Throws Error(kUsage) on anything else, and where the model has no
/// table.
double read_budget(const std::string& text, const ModelData& model);
/// One line that warns where the policy cannot spend, on validation, what --budget asks for: what the nearest price spends instead and which
/// range can be met, in the unit of `text`.  Empty where it can, to the percent that budgets hold to anyway.
std::string budget_warning(const std::string& text, const ModelData& model, bool guard);

/// One line that warns where the policy's milliseconds were measured on another processor or kernel set than `here`; empty where they were
/// not, and where the policy is not priced in time or the file does not say.
std::string price_warning(const ModelData& model, const Machine& here);

/// Both warnings, one line each, on standard error.  `budget`: the --budget, empty = none.
void warn_of_prices(const Model& model, const std::string& budget, bool guard);

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
