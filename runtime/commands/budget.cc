#include "runtime/commands/budget.h"

#include <algorithm>
#include <charconv>

#include "runtime/core/error.h"
#include "runtime/policy_head.h"
#include "runtime/policy_rules.h"

namespace bitpilot {

namespace {

/// Multiples of the golden ratio modulo 1: any stretch of numbers covers 0..1 evenly.
double golden(std::uint64_t number) { return static_cast<double>((number * 0x9e3779b97f4a7c15ULL) >> 11) * 0x1p-53; }

}  // namespace

double lambda_for(const std::vector<BudgetPoint>& table, double relative, std::uint64_t number) {
  if (table.empty()) throw Error(ExitCode::kBug, "the budget table is empty", "lambda_for", "call read_budget first");
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

bool read_guard(const std::string& text) {
  if (text != "on" && text != "off")
    throw Error(ExitCode::kUsage, "--guard takes on or off, not \"" + text + "\"", "bitpilot", "see --help");
  return text == "on";
}

double read_budget(const std::string& text, const ModelData& model) {
  if (text.size() > 2 && text.ends_with("ms") && text.find_first_not_of("0123456789.") == text.size() - 2) {
    const double reference = PolicyHead::has_policy(model) ? unpack_policy(model).reference_ms : 0;
    if (reference == 0 || model.budget.empty())
      throw Error(ExitCode::kUsage, "--budget " + text + " needs a policy that is priced in time, this model's is not", "bitpilot",
                  "measure this machine with `bitpilot profile`, train with --cost latency:FILE, or give a mean relative cost such as --budget 0.15");
    double wanted = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 2, wanted);
    if (error != std::errc() || end != text.data() + text.size() - 2 || !(wanted > 0))
      throw Error(ExitCode::kUsage, "--budget takes milliseconds above 0, not \"" + text + "\"", "bitpilot", "give --budget 2.5ms, say");
    return std::min(1.0, wanted / reference);
  }
  double budget = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), budget);
  if (error != std::errc() || end != text.data() + text.size() || !(budget > 0 && budget <= 1)) {
    throw Error(ExitCode::kUsage, "--budget takes a mean relative cost above 0 and up to 1, not \"" + text + "\"",
                "bitpilot", "1 is the cost of uniform 8 bits; give --budget 0.15, say");
  }
  if (model.budget.empty()) {
    throw Error(ExitCode::kUsage, "this model has no table from budgets to lambda", "--budget",
                "give --bits, or a model with a policy");
  }
  return budget;
}

BudgetIntegrator::BudgetIntegrator(std::vector<BudgetPoint> table, double budget)
    : table_(std::move(table)), budget_(budget) {}

double BudgetIntegrator::lambda(std::uint64_t number) const {
  const double correction = number < InOrder::kWindow ? 0.0 : after_[(number - InOrder::kWindow) % after_.size()];
  return lambda_for(table_, budget_ + correction, number);
}

void BudgetIntegrator::add(std::uint64_t number, double relative) {
  correction_ = std::clamp(correction_ + (budget_ - relative) / kFrames, -budget_ / 2, budget_ / 2);
  after_[number % after_.size()] = correction_;
}

void BudgetIntegrator::pass(std::uint64_t number) { after_[number % after_.size()] = correction_; }

}  // namespace bitpilot
