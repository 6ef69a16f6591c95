#include "runtime/commands/budget.h"

#include <doctest/doctest.h>

#include <cmath>

#include "runtime/policy_head.h"
#include "runtime/random_policy.h"
#include "tests/support/sample_model.h"

using bitpilot::BudgetIntegrator;
using bitpilot::BudgetPoint;
using bitpilot::InOrder;
using bitpilot::lambda_for;

namespace {

const std::vector<BudgetPoint> kTable{{0, 0.9}, {1, 0.5}, {3, 0.1}};

/// Cost of a stream that is `factor` times as dear as validation was.
double cost_at(double lambda, double factor) {
  const double relative = lambda < 1 ? 0.9 - 0.4 * lambda : 0.5 - 0.2 * (lambda - 1);
  return factor * relative;
}

}  // namespace

TEST_CASE("commands/budget: lambda lies on the table's lines and at its ends outside of it") {
  CHECK(lambda_for(kTable, 0.5) == doctest::Approx(1));
  CHECK(lambda_for(kTable, 0.7) == doctest::Approx(0.5));
  CHECK(lambda_for(kTable, 0.2) == doctest::Approx(2.5));
  CHECK(lambda_for(kTable, 1.0) == doctest::Approx(0));
  CHECK(lambda_for(kTable, 0.01) == doctest::Approx(3));
  const std::vector<BudgetPoint> jump{{1, 0.5}, {1.00005, 0.3}, {2, 0.1}};
  CHECK(lambda_for(jump, 0.5) == doctest::Approx(1));
  int dear = 0;  // between both nothing exists: three pictures in four on the dearer side cost 0.45 in the mean
  for (std::uint64_t number = 700; number < 900; ++number) {
    const double lambda = lambda_for(jump, 0.45, number);
    CHECK((lambda == 1 || lambda == 1.00005));
    dear += lambda == 1;
  }
  CHECK(dear == doctest::Approx(150).epsilon(0.01));
  CHECK(lambda_for(jump, 0.2) > 1.4);
}

TEST_CASE("commands/budget: a budget is above 0 and at most 1") {
  bitpilot::ModelData model;
  model.budget = kTable;
  CHECK(bitpilot::read_budget("0.25", model) == 0.25);
  for (const char* wrong : {"0", "-0.1", "1.01", "2.5ms", "", "nan"}) {
    INFO(wrong);
    CHECK_THROWS(bitpilot::read_budget(wrong, model));
  }
  model.budget.clear();
  CHECK_THROWS(bitpilot::read_budget("0.25", model));
}

TEST_CASE("commands/budget: without the guard every price is lower by what the guard costs, where the choices do not need it") {
  bitpilot::ModelData model = bitpilot::testing::sample_model(bitpilot::testing::sample_network());
  model.statistics.clear();
  model.ranges.clear();
  model.budget = kTable;
  const auto saved = [&] {
    const auto with = bitpilot::budget_table(model, true), without = bitpilot::budget_table(model, false);
    for (std::size_t i = 0; i < with.size(); ++i) {
      CHECK(with[i].lambda == without[i].lambda);
      CHECK(with[i].relative == kTable[i].relative);
      CHECK(with[i].relative - without[i].relative == doctest::Approx(with[0].relative - without[0].relative));
    }
    return with[0].relative - without[0].relative;
  };
  model.policy = {};
  CHECK(saved() == 0);
  bitpilot::PolicyParameters policy = bitpilot::random_policy(model);
  model.policy = bitpilot::pack_policy(policy);
  CHECK(saved() == 0);  // its networks read the statistics
  policy.first_weight = policy.stop_weight = 0;
  policy.offset = {};
  model.policy = bitpilot::pack_policy(policy);
  CHECK(saved() == doctest::Approx(bitpilot::guard_relative_cost(model)));
  CHECK(saved() > 0);
  CHECK(bitpilot::read_guard("on"));
  CHECK_FALSE(bitpilot::read_guard("off"));
  CHECK_THROWS(bitpilot::read_guard("no"));
}

TEST_CASE("commands/budget: milliseconds are relative to the price list's 8 bits, and only a policy priced in time takes them") {
  bitpilot::ModelData model = bitpilot::testing::sample_model(bitpilot::testing::sample_network());
  model.statistics.clear();
  model.ranges.clear();
  model.budget = kTable;
  bitpilot::PolicyParameters policy = bitpilot::random_policy(model);
  model.policy = bitpilot::pack_policy(policy);
  CHECK_THROWS(bitpilot::read_budget("2.5ms", model));
  policy.cost_unit = "ms";
  policy.reference_ms = 4;
  policy.choosing_cost = 0.125;
  policy.guard_cost = 0.25;
  policy.networks_cost = 0.5;
  model.policy = bitpilot::pack_policy(policy);
  const bitpilot::PolicyParameters unpacked = bitpilot::unpack_policy(model);
  CHECK(unpacked.choosing_cost == 0.125);
  CHECK(unpacked.guard_cost == 0.25);
  CHECK(unpacked.networks_cost == 0.5);
  CHECK(bitpilot::read_budget("2.5ms", model) == doctest::Approx(0.625));
  CHECK(bitpilot::read_budget("9ms", model) == 1);
  CHECK(bitpilot::read_budget("0.3", model) == doctest::Approx(0.3));
  for (const char* wrong : {"0ms", "ms", "1.2.3ms", "-1ms"}) CHECK_THROWS(bitpilot::read_budget(wrong, model));
}

TEST_CASE("commands/budget: what a policy cannot spend is told in one line with the range that it can") {
  bitpilot::ModelData model = bitpilot::testing::sample_model(bitpilot::testing::sample_network());
  model.statistics.clear();
  model.ranges.clear();
  model.budget = {{0, 0.1229}, {1, 0.08}, {3, 0.0299}};
  CHECK(bitpilot::budget_range(model.budget).least == 0.0299);
  CHECK(bitpilot::budget_range(model.budget).most == 0.1229);
  for (const char* met : {"0.03", "0.1", "0.1229", "0.124", "0.0297"}) {  // within the percent that budgets hold to
    INFO(met);
    CHECK(bitpilot::budget_warning(met, model, true).empty());
  }
  const std::string much = bitpilot::budget_warning("0.2", model, true), little = bitpilot::budget_warning("0.001", model, true);
  CHECK(much.find("spends 0.1229") != std::string::npos);
  CHECK(little.find("spends 0.0299") != std::string::npos);
  for (const std::string& line : {much, little}) {
    CHECK(line.find("0.0299 to 0.1229") != std::string::npos);
    CHECK(line.find('\n') == std::string::npos);
  }
  bitpilot::PolicyParameters policy = bitpilot::random_policy(model);
  policy.cost_unit = "ms";
  policy.reference_ms = 10;
  model.policy = bitpilot::pack_policy(policy);
  CHECK(bitpilot::budget_warning("1.1ms", model, true).empty());
  CHECK(bitpilot::budget_warning("2ms", model, true).find("0.2990ms to 1.2290ms") != std::string::npos);
}

TEST_CASE("commands/budget: a policy priced in time says so on another processor or kernel set, and only there") {
  bitpilot::ModelData model = bitpilot::testing::sample_model(bitpilot::testing::sample_network());
  model.statistics.clear();
  model.ranges.clear();
  model.policy = {};
  const bitpilot::Machine here{"this one", "avx2", 1, "1"};
  CHECK(bitpilot::price_warning(model, here).empty());
  bitpilot::PolicyParameters policy = bitpilot::random_policy(model);
  model.policy = bitpilot::pack_policy(policy);
  CHECK(bitpilot::price_warning(model, here).empty());  // priced in bit operations
  policy.cost_unit = "ms";
  policy.reference_ms = 4;
  model.policy = bitpilot::pack_policy(policy);
  CHECK(bitpilot::price_warning(model, here).empty());  // a file from before the machine was kept
  model.provenance = R"({"recipe": {}, "priced_on": {"cpu": "this one", "isa": "avx2"}})";
  CHECK(bitpilot::price_warning(model, here).empty());
  for (const bitpilot::Machine& other : {bitpilot::Machine{"another", "avx2", 1, "1"}, bitpilot::Machine{"this one", "scalar", 1, "1"}}) {
    const std::string line = bitpilot::price_warning(model, other);
    CHECK(line.find("this one with avx2") != std::string::npos);
    CHECK(line.find(other.cpu + " with " + other.isa) != std::string::npos);
    CHECK(line.find('\n') == std::string::npos);
  }
}

TEST_CASE("commands/budget: the integrator holds the mean cost of a stream that differs from validation") {
  for (const double factor : {0.8, 1.0, 1.3}) {
    BudgetIntegrator integrator(kTable, 0.4);
    double last = 0;
    for (std::uint64_t n = 0; n < 6000; ++n) {
      last = cost_at(integrator.lambda(n), factor);
      integrator.add(n, last);
    }
    INFO(factor);
    CHECK(last == doctest::Approx(0.4).epsilon(0.01));
  }
}

TEST_CASE("commands/budget: the correction is bounded, so an impossible budget is left again at once") {
  BudgetIntegrator integrator(kTable, 0.4);
  std::uint64_t n = 0;
  for (; n < 5000; ++n) integrator.add(n, 1.0);
  CHECK(integrator.lambda(n) == doctest::Approx(lambda_for(kTable, 0.2)));
}

TEST_CASE("commands/budget: pictures under way change nothing") {
  BudgetIntegrator few(kTable, 0.4), many(kTable, 0.4);
  for (std::uint64_t n = 0; n < 100; ++n) {
    few.add(n, 0.3 + 0.001 * static_cast<double>(n % 13));
    many.add(n, 0.3 + 0.001 * static_cast<double>(n % 13));
  }
  for (std::uint64_t n = 100; n < 100 + InOrder::kWindow - 1; ++n) many.add(n, 0.9);
  CHECK(few.lambda(100) == many.lambda(100));
  many.pass(100 + InOrder::kWindow - 1);
  CHECK(few.lambda(100 + InOrder::kWindow - 1) == many.lambda(100 + InOrder::kWindow - 1));
}
