#include "experiments/comparison.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "policy/hybrid_learner.h"
#include "policy/prices.h"
#include "runtime/budget_table.h"
#include "runtime/core/error.h"
#include "runtime/fixed_math.h"
#include "runtime/policy_head.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using bitpilot::testing::synthetic_model;
using bitpilot::testing::synthetic_outcomes;
using nlohmann::json;

namespace {

struct Fixture {
  ModelData model = synthetic_model();
  OutcomeTable validation = synthetic_outcomes(model, 1500, {.seed = 1}), test = synthetic_outcomes(model, 1200, {.seed = 2});
  CostTable bops = bops_table(model.network, model.space);
  ComparedModel compared{&model, &validation, {"seen"}, {&test}};

  std::vector<std::uint8_t> right(std::size_t anchor) const {
    std::vector<std::uint8_t> result(test.size());
    for (std::size_t i = 0; i < test.size(); ++i) result[i] = test.correct(i, anchor);
    return result;
  }
  Rival rival(std::size_t anchor, std::vector<std::uint8_t> correct) const {
    return {"alone", model.anchors[anchor].name, model.anchors[anchor].config, bops.cost(model.anchors[anchor].config), {std::move(correct)}};
  }
};

double mean(const std::vector<std::uint8_t>& values) {
  return static_cast<double>(std::count(values.begin(), values.end(), 1)) / static_cast<double>(values.size());
}

}  // namespace

TEST_CASE("experiments/comparison: an anchor against a network of its own configuration, picture by picture") {
  const Fixture f;
  const json same = compare(f.compared, {f.rival(1, f.right(1))}, {})["shared"];
  REQUIRE(same.size() == 1);
  const json& entry = same[f.model.anchors[1].name]["seen"];
  CHECK(entry["difference"]["ci95"][0] == 0.0);
  CHECK(entry["difference"]["ci95"][1] == 0.0);
  std::vector<std::uint8_t> better = f.right(1);
  for (std::size_t i = 0; i < better.size(); i += 2) better[i] = 1;
  const json worse = compare(f.compared, {f.rival(1, better)}, {})["shared"][f.model.anchors[1].name]["seen"];
  CHECK(worse["difference"]["mean"].get<double>() == doctest::Approx(mean(f.right(1)) - mean(better)));
  CHECK(worse["difference"]["ci95"][1] < 0.0);
  // Two rivals of one configuration: neither hides the other.
  Rival second = f.rival(1, f.right(1));
  second.run = "rounded";
  Rival third = second;
  third.anchor = "again";
  const json all = compare(f.compared, {f.rival(1, better), second, third}, {})["shared"];
  CHECK(all.size() == 3);
  CHECK(all[f.model.anchors[1].name]["seen"]["difference"]["mean"] == worse["difference"]["mean"]);
  CHECK(all[f.model.anchors[1].name + "_minus_rounded"]["seen"]["difference"]["mean"] == 0.0);
  CHECK(all[f.model.anchors[1].name + "_minus_rounded_again"]["alone"] == "rounded/again");
}

TEST_CASE("experiments/comparison: without a policy every anchor stands against every rival, whatever either costs") {
  const Fixture f;
  std::vector<std::uint8_t> better = f.right(0);
  for (std::size_t i = 0; i < better.size(); i += 2) better[i] = 1;
  Rival other = f.rival(0, better);
  other.config[1] = {3, 5, 1};  // no configuration of the model
  other.bops = 12345;
  other.run = "other";
  other.anchor = "searched";
  const json comparison = compare(f.compared, {f.rival(2, f.right(2)), other}, {});
  CHECK(comparison["shared"].size() == 1);
  const json& rows = comparison["differences"];
  REQUIRE(rows.size() == 2 * f.model.anchors.size());
  for (std::size_t k = 0; k < f.model.anchors.size(); ++k) {
    const json &same = rows[2 * k], &against = rows[2 * k + 1];
    CHECK(same["method"] == f.model.anchors[k].name + "_minus_alone_u8");
    CHECK(against["method"] == f.model.anchors[k].name + "_minus_alone_searched");
    CHECK(against["rival"] == "other/searched");
    CHECK(against["bops_ratio"].get<double>() == doctest::Approx(f.bops.cost(f.model.anchors[k].config) / 12345));
    CHECK(against["seen"]["difference"]["mean"].get<double>() == doctest::Approx(mean(f.right(k)) - mean(better)));
    CHECK(same["seen"]["difference"]["mean"].get<double>() == doctest::Approx(mean(f.right(k)) - mean(f.right(2))));
  }
  // Paired: a network against itself leaves nothing open.
  CHECK(rows[4]["seen"]["difference"]["ci95"] == json({0.0, 0.0}));
  CHECK(rows[1]["seen"]["difference"]["ci95"][1] < 0.0);
}

TEST_CASE("experiments/comparison: a rival's record is called by its anchor, and by its run where several anchors are called alike") {
  const Fixture f;
  const auto methods = [&](const std::vector<std::pair<std::string, std::string>>& named) {
    std::vector<Rival> rivals;
    for (const auto& [run, anchor] : named) {
      rivals.push_back(f.rival(1, f.right(1)));
      rivals.back().run = run;
      rivals.back().anchor = anchor;
    }
    const json comparison = compare(f.compared, rivals, {});
    std::vector<std::string> result;
    for (const json& row : comparison["rivals"]) {
      CHECK(row["name"] == named[result.size()].first + "/" + named[result.size()].second);
      CHECK(row["bops"] == rivals.front().bops);
      CHECK(row["seen"].get<double>() == doctest::Approx(mean(f.right(1))));
      result.push_back(row["method"]);
    }
    return result;
  };
  using Names = std::vector<std::string>;
  CHECK(methods({{"alone_u2", "u2"}, {"alone_w8b8", "w8b8 of resnet8"}}) == Names{"alone_u2", "alone_w8b8 of resnet8"});
  CHECK(methods({{"alone_u2", "u2"}, {"rounded_u2", "u2"}, {"alone_u3", "u3"}}) == Names{"alone_u2", "rounded_u2", "alone_u3"});
  CHECK(methods({{"alone_u4", "u2"}, {"rounded_u2", "u2"}, {"other", "u4"}}) == Names{"alone_u4_u2", "rounded_u2", "alone_u4"});
  CHECK(methods({{"one", "u2"}, {"one", "u4"}, {"other", "u2"}}) == Names{"one_u2", "alone_u4", "other"});
}

TEST_CASE("experiments/comparison: rival runs are called by their recipes, and by their folders where recipes are called alike") {
  using Names = std::vector<std::string>;
  CHECK(rival_run_names({"alone_u2", "rounded_u2"}, {"runs/a", "runs/b"}) == Names{"alone_u2", "rounded_u2"});
  CHECK(rival_run_names({"alone", "alone", "qgt"}, {"runs/alone-s0", "/elsewhere/alone-s1/", "runs/qgt-s0"}) == Names{"alone-s0", "alone-s1", "qgt"});
  CHECK_THROWS_WITH_AS(rival_run_names({"alone", "alone"}, {"here/alone-s0", "there/alone-s0"}), doctest::Contains("two rivals are called \"alone-s0\""), Error);
}

TEST_CASE("experiments/comparison: a cascade keeps the threshold of validation and is billed for both looks") {
  const Fixture f;
  const AnchorCosts costs = anchor_costs(f.model, f.bops);
  const double wanted = (costs.first[0] + 0.3 * costs.second[1]) * f.bops.reference();
  ComparisonRequest request;
  request.pairs = {{f.model.anchors[0].name, f.model.anchors[1].name, {wanted}}};
  std::vector<std::uint8_t> none(f.test.size(), 0);
  Rival narrow = f.rival(1, none);  // of the pair's bits, and cheaper than the cascade
  narrow.run = "narrow";
  narrow.bops /= 4;
  const json row = compare(f.compared, {f.rival(1, none), narrow, f.rival(2, f.right(2))}, request)["cascades"][0]["seen"];
  const double threshold = row["threshold"];
  std::size_t looked_again = 0, correct = 0;
  for (std::size_t i = 0; i < f.test.size(); ++i) {
    std::vector<float> probabilities;
    fixed_math::softmax(f.test.scores_of(i, 0), f.model.anchors[0].temperature, probabilities);
    const bool again = *std::max_element(probabilities.begin(), probabilities.end()) < threshold;
    looked_again += again;
    correct += f.test.correct(i, again ? 1 : 0);
  }
  const double n = static_cast<double>(f.test.size()), share = static_cast<double>(looked_again) / n;
  CHECK(share == doctest::Approx(0.3).epsilon(0.25));
  CHECK(row["second_looks"].get<double>() == doctest::Approx(share));
  CHECK(row["accuracy"].get<double>() == doctest::Approx(static_cast<double>(correct) / n));
  CHECK(row["bops"].get<double>() == doctest::Approx((costs.first[0] + share * costs.second[1]) * f.bops.reference() +
                                                     confidence_bops(f.test.classes)));
  CHECK(row["minus_second"]["mean"].get<double>() == doctest::Approx(static_cast<double>(correct) / n - mean(f.right(1))));
  // Rivals of other bit-widths stay out: only the ones that are never right are at the pair's own bits.
  CHECK(row["rivals"]["accuracy"] == 0.0);
  CHECK(row["rivals"]["gain"]["mean"].get<double>() == doctest::Approx(static_cast<double>(correct) / n));
  // All rivals of those bits cost more, or all of them less: none of their mixes costs as much.
  for (const std::vector<Rival>& one_sided : {std::vector<Rival>{f.rival(1, none)}, std::vector<Rival>{narrow}})
    CHECK(compare(f.compared, one_sided, request)["cascades"][0]["seen"].at("rivals").is_null());
  request.pairs[0].second = "u5";
  CHECK_THROWS_AS(compare(f.compared, {}, request), Error);
}

TEST_CASE("experiments/comparison: the policy spends what it is asked for, inside a jump too, and stands beside its own cascade") {
  Fixture f;
  PolicyOptions fit;
  fit.estimator.epochs = fit.stop.epochs = fit.first.epochs = 2;
  fit_policy(f.model, fit, synthetic_outcomes(f.model, 1500, {.seed = 3}), f.validation);
  PolicyParameters p = unpack_policy(f.model);
  for (auto& row : p.pair_allowed) std::fill(row.begin(), row.end(), 0);  // one look: nothing but jumps
  p.first_weight = p.stop_weight = 0;
  f.model.policy = pack_policy(p);
  set_prices(f.model, {}, {&f.validation});
  const BudgetRange range = budget_range(f.model.budget);
  const double reference = f.bops.reference();
  ComparisonRequest request;
  for (const double share : {0.2, 0.5, 0.8}) request.bops.push_back((range.least + share * (range.most - range.least)) * reference);
  const json rows = compare(f.compared, {}, request)["policy"];
  REQUIRE(rows.size() % (1 + request.bops.size()) == 0);
  CHECK(rows[0]["wanted_bops"].is_null());
  CHECK(rows[0]["lambda"] == f.model.default_lambda);
  double behind = 0;
  for (const json& row : rows) {
    const json& seen = row["seen"];
    if (!row["wanted_bops"].is_null()) CHECK(seen["bops"].get<double>() == doctest::Approx(row["wanted_bops"].get<double>()).epsilon(0.01));
    CHECK(seen["hull"].is_null());  // no network trained alone, so no such hull
    CHECK(seen["rivals"].is_null());
    CHECK(seen["own_hull"]["gain"]["mean"].get<double>() == doctest::Approx(seen["accuracy"].get<double>() - seen["own_hull"]["accuracy"].get<double>()));
    const json& cascade = seen["cascade"];
    CHECK(cascade["relative"].get<double>() * reference <= seen["bops"].get<double>() * (1 + 1e-6));
    CHECK(cascade["gain"]["mean"].get<double>() == doctest::Approx(seen["accuracy"].get<double>() - cascade["accuracy"].get<double>()));
    behind += cascade["gain"]["mean"].get<double>() / static_cast<double>(rows.size());
  }
  CHECK(behind < -0.005);  // one look against two
  for (const json& row : rows) {
    const json& seen = row["seen"];
    REQUIRE(seen["anchors"].size() == f.model.anchors.size());
    for (std::size_t k = 0; k < f.model.anchors.size(); ++k) {
      const json& minus = seen["anchors"][f.model.anchors[k].name];
      CHECK(minus["difference"]["mean"].get<double>() == doctest::Approx(seen["accuracy"].get<double>() - mean(f.right(k))));
      CHECK(minus["difference"]["ci95"][0] <= minus["difference"]["mean"]);
      CHECK(minus["bops_ratio"].get<double>() == doctest::Approx(seen["bops"].get<double>() / f.bops.cost(f.model.anchors[k].config)));
    }
  }
  const json beside = compare(f.compared, {f.rival(2, f.right(2))}, request)["policy"][1]["seen"];
  CHECK_FALSE(beside["hull"].is_null());
  CHECK(beside["rivals"].is_null());  // the only rival is dearer
  const json between = compare(f.compared, {f.rival(0, f.right(0)), f.rival(2, f.right(2))}, request)["policy"][1]["seen"];
  CHECK(between["rivals"]["gain"]["mean"].get<double>() ==
        doctest::Approx(between["accuracy"].get<double>() - between["rivals"]["accuracy"].get<double>()));
  CHECK(compare(f.compared, {f.rival(2, f.right(2))}, request)["differences"].empty());  // the policy's rows say it
  p.cost_unit = "ms";
  p.reference_ms = 1;
  f.model.policy = pack_policy(p);
  CHECK_THROWS_AS(compare(f.compared, {}, request), Error);
}
