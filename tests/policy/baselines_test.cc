#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "policy/budget_dual.h"
#include "policy/paired_bootstrap.h"
#include "policy/static_hull.h"
#include "policy/temperature.h"
#include "policy/threshold_cascade.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using bitpilot::testing::synthetic_model;
using bitpilot::testing::synthetic_outcomes;

TEST_CASE("policy/static_hull: it holds only points that no mix of two others beats") {
  const StaticHull hull(
      {{"c", 0.5, 0.80, 2}, {"a", 0.1, 0.60, 0}, {"under", 0.3, 0.65, 3}, {"b", 0.2, 0.75, 1}, {"dear", 0.9, 0.79, 4}});
  REQUIRE(hull.points().size() == 3);
  CHECK(hull.points()[1].name == "b");
  CHECK(hull.accuracy(0.05) == doctest::Approx(0.60));
  CHECK(hull.accuracy(0.15) == doctest::Approx(0.675));
  CHECK(hull.accuracy(0.35) == doctest::Approx(0.775));
  CHECK(hull.accuracy(2.0) == doctest::Approx(0.80));
  const HullMix mix = hull.at(0.35);
  CHECK(mix.low.index == 1);
  CHECK(mix.high.index == 2);
  CHECK(mix.share == doctest::Approx(0.5));
  CHECK(hull.cost_of(0.775) == doctest::Approx(0.35));
  CHECK(hull.cost_of(0.81) == std::numeric_limits<double>::infinity());
}

TEST_CASE("policy/paired_bootstrap: the interval covers the mean, tightens with data and knows repeated pictures") {
  std::vector<double> difference;
  std::vector<std::uint32_t> group;
  Random random(1, "differences");
  for (int i = 0; i < 2000; ++i) {
    const double value = 0.1 + random.normal();
    for (int copy = 0; copy < 4; ++copy) {
      difference.push_back(value);
      group.push_back(static_cast<std::uint32_t>(i));
    }
  }
  const Interval grouped = paired_bootstrap(difference, group), alone = paired_bootstrap(difference, {});
  CHECK(grouped.mean == doctest::Approx(alone.mean));
  CHECK(grouped.low < grouped.mean);
  CHECK(grouped.high > grouped.mean);
  CHECK(grouped.standard_error == doctest::Approx(1 / std::sqrt(2000.0)).epsilon(0.15));
  CHECK(alone.standard_error ==
        doctest::Approx(0.5 / std::sqrt(2000.0)).epsilon(0.15));  // four copies pass for new pictures
  CHECK(grouped.excludes_zero());
  CHECK_FALSE(paired_bootstrap({-1, 1, -1, 1, 1, -1}, {}).excludes_zero());
  CHECK(paired_bootstrap(difference, group).low == grouped.low);
}

TEST_CASE("policy/temperature: the fitted temperature undoes a known one") {
  const ModelData model = synthetic_model();
  OutcomeTable table = synthetic_outcomes(model, 3000);
  const float before = fit_temperature(table, 1);
  for (float& score : table.scores) score *= 1.5F;
  CHECK(fit_temperature(table, 1) == doctest::Approx(1.5 * before).epsilon(0.01));
  CHECK(calibration_error(table, 1, 1.5F * before) < calibration_error(table, 1, 0.4F));
}

TEST_CASE("policy/threshold_cascade: it spends what it is given and agrees with a plain loop over pictures") {
  const ModelData model = synthetic_model();
  const OutcomeTable table = synthetic_outcomes(model, 800);
  const AnchorCosts costs = anchor_costs(model, bops_table(model.network, model.space));
  const std::vector<float> temperatures(4, 1.0F);
  const CascadeCurve curve(table, temperatures, costs, 0, 1);
  const double budget = costs.first[0] + 0.25 * costs.second[1];
  const Cascade cascade = curve.at_cost(budget);
  CHECK(cascade.relative <= budget + 1e-12);
  CHECK(cascade.relative > budget - costs.second[1] / 800 - 1e-9);
  const std::vector<std::uint8_t> correct = curve.correct_at(budget);
  double right = 0, expected = 0, looks = 0;
  for (std::size_t i = 0; i < table.size(); ++i) {
    right += correct[i];
    std::vector<double> p;
    double sum = 0;
    for (const float s : table.scores_of(i, 0)) sum += std::exp(static_cast<double>(s));
    for (const float s : table.scores_of(i, 0)) p.push_back(std::exp(static_cast<double>(s)) / sum);
    const bool again = *std::max_element(p.begin(), p.end()) < cascade.threshold - 1e-6;
    looks += again ? 1 : 0;
    expected += table.correct(i, again ? 1 : 0) ? 1 : 0;
  }
  CHECK(right / 800 == doctest::Approx(cascade.accuracy));
  CHECK(expected == right);
  CHECK(looks == 200);
  CHECK(curve.at_cost(0).relative == doctest::Approx(costs.first[0]));
  CHECK(curve.at_cost(9).relative == doctest::Approx(costs.first[0] + costs.second[1]));
}

TEST_CASE("policy/threshold_cascade: pairs go from cheap to dear, and the best one at a cost stays within it") {
  const ModelData model = synthetic_model();
  const OutcomeTable table = synthetic_outcomes(model, 500);
  const AnchorCosts costs = anchor_costs(model, bops_table(model.network, model.space));
  const auto curves = all_cascades(table, std::vector<float>(4, 1.0F), costs);
  CHECK(curves.size() == 6);
  for (const CascadeCurve& curve : curves)
    CHECK(costs.first[static_cast<std::size_t>(curve.first())] < costs.first[static_cast<std::size_t>(curve.second())]);
  const double budget = costs.first[0] * 1.5;
  const Cascade best = curves[best_cascade(curves, budget)].at_cost(budget);
  CHECK(best.first == 0);
  for (const CascadeCurve& curve : curves) {
    const Cascade other = curve.at_cost(budget);
    if (other.relative <= budget) CHECK(other.accuracy <= best.accuracy);
  }
}

TEST_CASE("policy/budget_dual: the price settles where the average meets its target") {
  BudgetDual dual(0.5, 0.0);
  double cost = 1.0;
  for (int step = 0; step < 20000; ++step) {
    cost = 1.0 / (1.0 + dual.price());  // dearer price, cheaper choices
    dual.observe(cost);
  }
  CHECK(cost == doctest::Approx(0.5).epsilon(0.01));
  BudgetDual cheap(0.5);
  for (int step = 0; step < 2000; ++step) cheap.observe(0.1);
  CHECK(cheap.price() == 0.0);
}
