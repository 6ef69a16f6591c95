#include "runtime/commands/budget.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/core/error.h"
#include "runtime/policy_head.h"

namespace bitpilot {

namespace {

constexpr double kMetWithin = 0.01;  // of the budget: what an average over pictures holds to anyway

bool in_ms(const std::string& text) { return text.ends_with("ms"); }

}  // namespace

bool read_guard(const std::string& text) {
  if (text != "on" && text != "off")
    throw Error(ExitCode::kUsage, "--guard takes on or off, not \"" + text + "\"", "bitpilot", "see --help");
  return text == "on";
}

double read_budget(const std::string& text, const ModelData& model) {
  if (text.size() > 2 && in_ms(text) && text.find_first_not_of("0123456789.") == text.size() - 2) {
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

std::string budget_warning(const std::string& text, const ModelData& model, bool guard) {
  const double wanted = read_budget(text, model);
  const BudgetRange range = budget_range(budget_table(model, guard));
  if (wanted >= range.least * (1 - kMetWithin) && wanted <= range.most * (1 + kMetWithin)) return "";
  const double unit = in_ms(text) ? unpack_policy(model).reference_ms : 1;
  const auto written = [&](double relative) {
    char number[32];
    std::snprintf(number, sizeof number, in_ms(text) ? "%.4fms" : "%.4f", relative * unit);
    return std::string(number);
  };
  return "warning: --budget " + text + " is out of reach, this policy spends " + written(wanted < range.least ? range.least : range.most) +
         " instead: give " + written(range.least) + " to " + written(range.most) + (wanted > range.most ? ", or --bits for a fixed configuration" : "");
}

std::string price_warning(const ModelData& model, const Machine& here) {
  if (!PolicyHead::has_policy(model) || unpack_policy(model).cost_unit != "ms" || model.provenance.empty()) return "";
  const nlohmann::json provenance = nlohmann::json::parse(model.provenance, nullptr, /*allow_exceptions=*/false);
  if (!provenance.is_object() || !provenance.contains("priced_on") || !provenance["priced_on"].is_object()) return "";
  const auto part = [&](const char* name) {
    const auto found = provenance["priced_on"].find(name);
    return found != provenance["priced_on"].end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const std::string cpu = part("cpu"), isa = part("isa");
  if (cpu == here.cpu && isa == here.isa) return "";
  return "warning: this policy was priced in time on " + cpu + " with " + isa + ", here is " + here.cpu + " with " + here.isa +
         ": its milliseconds do not hold; `bitpilot profile`, then `bitpilot train --networks-from RUN --cost latency:FILE` prices it anew";
}

void warn_of_prices(const Model& model, const std::string& budget, bool guard) {
  for (const std::string& line : {price_warning(model.data(), this_machine(model.kernels(), 1)),
                                  budget.empty() ? std::string() : budget_warning(budget, model.data(), guard)})
    if (!line.empty()) std::fprintf(stderr, "%s\n", line.c_str());
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
