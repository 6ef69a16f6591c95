#include "policy/hybrid_learner.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "policy/budget_choices.h"
#include "policy/policy_report.h"
#include "policy/prices.h"
#include "policy/static_hull.h"
#include "policy/threshold_cascade.h"
#include "runtime/adaptive.h"
#include "runtime/core/error.h"
#include "runtime/format/model_file.h"
#include "runtime/policy_rules.h"
#include "runtime/random_policy.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using bitpilot::testing::synthetic_model;
using bitpilot::testing::synthetic_outcomes;
using bitpilot::testing::SyntheticOptions;

namespace {

PolicyOptions quick() {
  PolicyOptions options;
  options.estimator.epochs = 8;
  options.stop.epochs = 6;
  options.first.epochs = 4;
  return options;
}

/// A model with a policy fitted to made-up pictures, and tables of other pictures.
struct Fitted {
  ModelData model = synthetic_model();
  OutcomeTable train, validation, test;
  std::vector<std::string> dropped;
  Fitted() {
    SyntheticOptions data;
    train = synthetic_outcomes(model, 4000, data);
    data.seed = 2;
    validation = synthetic_outcomes(model, 3000, data);
    data.seed = 3;
    test = synthetic_outcomes(model, 6000, data);
    dropped = fit_policy(model, quick(), train, validation).dropped;
    set_prices(model, {}, {&validation});
  }
};
const Fitted& fitted() {
  static const Fitted instance;
  return instance;
}

double accuracy_of(const OutcomeTable& table, std::size_t anchor) {
  double right = 0;
  for (std::size_t i = 0; i < table.size(); ++i) right += table.correct(i, anchor) ? 1 : 0;
  return right / static_cast<double>(table.size());
}

}  // namespace

TEST_CASE(
    "policy/hybrid_learner: on new pictures the policy equals its own cascade and beats every mix of static "
    "configurations") {
  const Fitted& f = fitted();
  const AnchorCosts costs = anchor_costs(f.model, bops_table(f.model.network, f.model.space));
  std::vector<HullPoint> points;
  std::vector<float> temperatures;
  for (std::size_t k = 0; k < f.model.anchors.size(); ++k) {
    points.push_back({f.model.anchors[k].name, costs.first[k], accuracy_of(f.test, k), static_cast<int>(k)});
    temperatures.push_back(f.model.anchors[k].temperature);
  }
  const StaticHull hull(points);
  const auto cascades = all_cascades(f.test, temperatures, costs);
  // Decisions alone: the cascade does not pay for observing either.
  PolicySweep sweep(f.model, f.test, 0.0);
  constexpr double kNoise =
      0.012;  // two standard errors of a difference on 6,000 pictures, both choices made on other pictures
  double gain = 0;
  for (const double relative : {0.12, 0.16, 0.2, 0.25}) {
    const SweepPoint point = sweep.judge(choose_at_cost(sweep, around_cost(sweep, relative), relative));
    CHECK(point.relative == doctest::Approx(relative).epsilon(0.002));
    CHECK(point.accuracy > cascades[best_cascade(cascades, point.relative)].at_cost(point.relative).accuracy - kNoise);
    gain += (point.accuracy - hull.accuracy(point.relative)) / 4;
  }
  CHECK(gain > 0.012);
}

TEST_CASE("policy/hybrid_learner: priced in time, networks that take longer than they bring earn no weight") {
  const Fitted& f = fitted();
  CostTable ms("ms", f.model.network, f.model.space);  // in proportion to bit operations
  const CostTable bops = bops_table(f.model.network, f.model.space);
  for (int l = 0; l < f.model.network.layer_count(); ++l)
    for (int w = 2; w <= 8; ++w)
      for (int a = 2; a <= 8; ++a)
        for (int blocks = 1; blocks <= f.model.space.layers[static_cast<std::size_t>(l)].blocks; ++blocks)
          ms.at(l, w, a, blocks) = 1e-6 * bops.at(l, w, a, blocks);
  for (const bool dear : {false, true}) {
    ModelData model = synthetic_model();
    PolicyOptions options = quick();
    options.cost = ms;
    options.deciding = {0, 0, dear ? 0.2 * ms.reference() : 0};
    fit_policy(model, options, f.train, f.validation);
    CHECK(networks_decide(model) != dear);
    CHECK(policy_relative_cost(model) == doctest::Approx(0));  // dear ones are not used, the others cost nothing
  }
}

TEST_CASE("policy/hybrid_learner: with one look nothing is decided after it and nothing is paid for that, priced in operations or in time") {
  const Fitted& f = fitted();
  CostTable ms("ms", f.model.network, f.model.space);
  for (std::size_t l = 0; l < f.model.space.layers.size(); ++l)
    for (int w = 2; w <= 8; ++w)
      for (int a = 2; a <= 8; ++a)
        for (int blocks = 1; blocks <= f.model.space.layers[l].blocks; ++blocks)
          ms.at(static_cast<int>(l), w, a, blocks) = 1e-3 * w * a * blocks;
  for (const bool in_time : {false, true}) {
    INFO(std::string(in_time ? "in time" : "in operations"));
    ModelData model = synthetic_model();
    PolicyOptions options = quick();
    options.looks = 1;
    if (in_time) options.cost = ms;
    const PolicyResult result = fit_policy(model, options, f.train, f.validation);
    CHECK_FALSE(result.log.contains("signal"));
    CHECK(result.log["first_weight"].size() == options.residual_weights.size());
    set_prices(model, {}, {&f.validation});
    PolicySweep sweep(model, f.test, 0);
    std::set<int> played;
    for (const double lambda : {0.01, 0.1, 0.5, 2.0})
      for (const PolicyChoice& choice : sweep.choose(lambda)) {
        REQUIRE(choice.second == -1);
        played.insert(choice.first);
      }
    CHECK(played.size() > 1);
    if (!in_time) {
      PolicyParameters twice = unpack_policy(model);
      twice.pair_allowed.front()[1] = 1;
      ModelData other = model;
      other.policy = pack_policy(twice);
      CHECK(PolicyHead(other).bops() - PolicyHead(model).bops() == doctest::Approx(confidence_bops(f.test.classes)));
    }
    AdaptiveSession session(std::make_shared<const Model>(model));
    for (std::uint64_t i = 0; i < 20; ++i) {
      Random random(9, "one look picture", i);
      Image image(12, 12, 1);
      for (auto& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
      CHECK(session.decide(preprocess(image.view(), {1, 12, 12}), {std::nullopt, 0.01}).looks.size() == 1);
    }
  }
}

TEST_CASE("policy/hybrid_learner: the fit is the same every time and survives the model file") {
  const Fitted& f = fitted();
  ModelData again = synthetic_model();
  fit_policy(again, quick(), f.train, f.validation);
  set_prices(again, {}, {&f.validation});
  CHECK(model_bytes(again) == model_bytes(f.model));
  const ModelData read = parse_model(model_bytes(f.model), "test");
  const PolicySweep before(f.model, f.validation, 0), after(read, f.validation, 0);
  const auto a = before.choose(0.3), b = after.choose(0.3);
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].first == b[i].first);
    REQUIRE(a[i].second == b[i].second);
  }
}

TEST_CASE("policy/hybrid_learner: labels, families and severities of the judged pictures do not move a decision") {
  const Fitted& f = fitted();
  OutcomeTable relabelled = f.test;
  for (std::size_t i = 0; i < relabelled.size(); ++i) {
    relabelled.labels[i] = (relabelled.labels[i] + 1) % static_cast<int>(relabelled.classes);
    relabelled.family[i] ^= 1;
    relabelled.severity[i] = 0;
  }
  const auto a = PolicySweep(f.model, f.test, 0).choose(0.3), b = PolicySweep(f.model, relabelled, 0).choose(0.3);
  for (std::size_t i = 0; i < a.size(); ++i) REQUIRE((a[i].first == b[i].first && a[i].second == b[i].second));
}

TEST_CASE("policy/hybrid_learner: too few pictures or another model's table are refused") {
  const Fitted& f = fitted();
  ModelData model = synthetic_model();
  CHECK_THROWS_AS(fit_policy(model, quick(), f.train.rows(0, 50), f.validation), Error);
  PolicyOptions options = quick();
  options.reference_anchor = "u5";
  CHECK_THROWS_AS(fit_policy(model, options, f.train, f.validation), Error);
}

TEST_CASE("policy/hybrid_learner: where bits save no time the policy plays one anchor of each width, and says so") {
  const Fitted& f = fitted();
  CHECK(f.dropped.empty());  // in counted operations each of them is the cheapest way to something
  ModelData model = synthetic_model();
  PolicyOptions options = quick();
  options.cost = CostTable("ms", model.network, model.space);
  for (std::size_t l = 0; l < model.space.layers.size(); ++l)
    for (int w = 2; w <= 8; ++w)
      for (int a = 2; a <= 8; ++a)
        for (int blocks = 1; blocks <= model.space.layers[l].blocks; ++blocks)
          options.cost->at(static_cast<int>(l), w, a, blocks) = 0.01 * blocks;
  model.safe_anchor = 2;
  REQUIRE(model.anchors[2].name == "u8");  // the most accurate one
  const PolicyResult result = fit_policy(model, options, f.train, f.validation);
  CHECK(result.dropped == std::vector<std::string>{"u2", "u4"});
  CHECK(result.log["dropped"][0]["dominated_by"] == "u8");
  const PolicySweep sweep(model, f.test, 0);
  std::size_t whole = 0;
  for (const double lambda : {0.01, 0.1, 0.5, 2.0})
    for (const PolicyChoice& choice : sweep.choose(lambda)) {
      REQUIRE(choice.last() >= 2);
      REQUIRE(choice.first >= 2);
      whole += choice.last() == 2 ? 1 : 0;
    }
  CHECK(whole > 0);
  CHECK(whole < 4 * sweep.size());  // the narrow one is played too
}

TEST_CASE("policy/policy_sweep: what it decides from tables is what the runtime decides from pictures") {
  ModelData data = synthetic_model();
  add_random_policy(data);  // every network that a policy can have, and about half of the looks are not the last
  const auto at = [](std::size_t i) {
    Random random(8, "sweep picture", i);
    Image image(12, 12, 1);
    const double contrast = random.uniform(20, 255);
    for (auto& pixel : image.pixels) pixel = static_cast<std::uint8_t>(contrast * random.uniform());
    Sample sample;
    sample.prepared = preprocess(image.view(), {1, 12, 12});
    sample.label = static_cast<int>(random.below(5));
    sample.index = i;
    sample.family = "clean";
    return sample;
  };
  const auto model = std::make_shared<const Model>(data);
  const OutcomeTable table = roll_out(model, 60, at, 2);
  AdaptiveSession session(model);
  const PolicySweep sweep(data, table, policy_relative_cost(data));
  int second_looks = 0, decisions = 0;
  std::set<int> first_looks;
  for (const double lambda : {0.01, 0.2, 0.5, 2.0}) {
    const auto choices = sweep.choose(lambda);
    for (std::size_t i = 0; i < table.size(); ++i) {
      const Decision decision = session.decide(at(i).prepared, {std::nullopt, lambda});
      CHECK(decision.looks.front().anchor == choices[i].first);
      CHECK((decision.looks.size() == 2) == (choices[i].second >= 0));
      CHECK(decision.looks.back().anchor == choices[i].last());
      CHECK(decision.relative == doctest::Approx(sweep.cost_of(choices[i])).epsilon(1e-5));
      CHECK((decision.label == table.labels[i]) == sweep.correct(i, choices[i].last()));
      second_looks += choices[i].second >= 0 ? 1 : 0;
      first_looks.insert(choices[i].first);
      ++decisions;
    }
  }
  INFO(second_looks, " second looks");
  CHECK(second_looks >= decisions / 5);  // both kinds of decision were compared
  CHECK(second_looks <= decisions * 4 / 5);
  CHECK(first_looks.size() > 1);
}

TEST_CASE("policy/policy_report: shuffled evidence leaves no gain, and the parts of the report agree with each other") {
  const Fitted& f = fitted();
  ReportOptions options;
  options.budgets = 4;
  options.resamples = 100;
  StaticRival rival{"alone", 0.2, std::vector<std::uint8_t>(f.test.size(), 1)};
  const auto report = policy_report(f.model, f.validation, {{"test", &f.test, {rival}}}, options);
  const auto& set = report["sets"]["test"];
  CHECK(set["sweep"].size() == 4);
  const auto& entry = set["default"];
  CHECK(entry["hull"]["gain"]["mean"].get<double>() ==
        doctest::Approx(entry["accuracy"].get<double>() - entry["hull"]["accuracy"].get<double>()));
  CHECK(entry["cascade"]["gain"]["mean"].get<double>() ==
        doctest::Approx(entry["accuracy"].get<double>() - entry["cascade"]["accuracy"].get<double>()));
  CHECK(entry["hull_with_rivals"]["accuracy"].get<double>() > entry["hull"]["accuracy"].get<double>());
  CHECK(entry["relative"].get<double>() > report["policy_relative"].get<double>());
  // On the pictures that the table was made on a budget is met; on others within a few standard errors.
  const auto again = policy_report(f.model, f.validation, {{"same", &f.validation, {}}}, options);
  CHECK(again["sets"]["same"]["budget"]["largest_deviation"].get<double>() < 0.005);  // lines between points 1 % apart
  for (const auto& row : set["sweep"])
    CHECK(std::abs(row["budget"]["deviation"].get<double>()) < 5 * row["budget"]["standard_error"].get<double>() + 0.002);
  CHECK(set["shuffles"]["both"]["gain_over_hull"].get<double>() < 0.005);
  CHECK(set["ablations"]["whole"]["accuracy"].get<double>() ==
        doctest::Approx(entry["accuracy"].get<double>()).epsilon(0.01));
  double shares = 0;
  for (const auto& [name, share] : entry["choices"]["looks"].items()) shares += share.get<double>();
  CHECK(shares == doctest::Approx(1));
  // Its own histogram dealt out at random is worse, with an interval; both ends of the figure agree.
  const auto& random = entry["choices"]["same_histogram_at_random"];
  CHECK(random["gain"]["ci95"][0].get<double>() > 0);
  CHECK(random["gain"]["mean"].get<double>() == doctest::Approx(entry["accuracy"].get<double>() - random["accuracy"].get<double>()));
  // A cascade that may spend more is no worse than one that may not, up to what its own threshold costs it.
  CHECK(entry["cascade"]["gain_over_dearer"]["mean"].get<double>() < entry["cascade"]["gain"]["mean"].get<double>() + 0.002);
  const auto gain_of = [&](const char* part) { return set["ablations"][part]["gain_over_hull"].get<double>(); };
  for (const char* part : {"without_first_look_network", "without_stop_network", "without_networks"}) {
    INFO(part);
    CHECK(set["ablations"][part]["share_of_gain"].get<double>() == doctest::Approx(1 - gain_of(part) / gain_of("whole")));
  }
  for (const char* test : {"embedding", "scores", "both"}) CHECK(set["shuffles"][test]["gain_over_hull_ci95"].size() == 2);
  CHECK(set["shuffles"]["both"]["gain_over_hull_ci95"][0].get<double>() <= 0);
  CHECK(set["quality"]["severity_rank_correlation"].get<double>() > 0.1);
}

TEST_CASE("policy/policy_sweep: a cost inside a jump is met by both sides of it, picture by picture") {
  ModelData model = fitted().model;
  PolicySweep sweep(model, fitted().test, 0.0);
  // One look only: the cost goes from anchor to anchor in jumps, for all pictures at once.
  for (auto& row : sweep.parameters().pair_allowed) std::fill(row.begin(), row.end(), 0);
  sweep.parameters().first_weight = 0;
  const double dear = sweep.at(1e-3).relative, cheap = sweep.at(30).relative, wanted = 0.35 * dear + 0.65 * cheap;
  const auto around = around_cost(sweep, wanted);
  REQUIRE(around.size() == 2);
  CHECK(around[1].lambda < around[0].lambda * kJumpRatio);
  REQUIRE(around[0].relative > 1.1 * wanted);  // a jump indeed
  REQUIRE(around[1].relative < 0.9 * wanted);
  const auto choices = choose_at_cost(sweep, around, wanted), left = sweep.choose(around[0].lambda), right = sweep.choose(around[1].lambda);
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const auto& side = lambda_for(around, wanted, i) == around[0].lambda ? left : right;
    REQUIRE(choices[i].first == side[i].first);
    REQUIRE(choices[i].second == side[i].second);
  }
  CHECK(sweep.judge(choices).relative == doctest::Approx(wanted).epsilon(0.003));
  // Outside of what any price costs: the nearest end.
  CHECK(sweep.judge(choose_at_cost(sweep, around_cost(sweep, 2 * dear), 2 * dear)).relative == doctest::Approx(dear));
  CHECK(sweep.judge(choose_at_cost(sweep, around_cost(sweep, cheap / 2), cheap / 2)).relative == doctest::Approx(cheap));
}
