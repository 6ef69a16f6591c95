#include "runtime/adaptive.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "runtime/random_policy.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::sample_model;
using bitpilot::testing::sample_network;

namespace {

ModelData adaptive_model() {
  ModelData model = sample_model(sample_network());
  model.statistics.clear();
  model.ranges.clear();
  model.policy = pack_policy(random_policy(model));
  return model;
}

Prepared picture(std::uint64_t index) {
  Random random(5, "picture", index);
  Image image(12, 12, 1);
  for (auto& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
  return preprocess(image.view(), {1, 12, 12});
}

}  // namespace

TEST_CASE("runtime/adaptive: every look and the policy are billed, the stem once") {
  const auto model = std::make_shared<Model>(adaptive_model());
  AdaptiveSession session(model);
  const CostTable& cost = session.cost();
  const double policy = PolicyHead(model->data()).bops();
  int one_look = 0, two_looks = 0;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const Decision decision = session.decide(picture(i), {std::nullopt, i % 2 == 0 ? 0.4 : 8.0});
    double bops = policy + cost.cost(decision.looks[0].bits);
    double relative = policy / cost.reference() + decision.looks[0].relative;
    if (decision.looks.size() == 2) {
      bops += cost.cost_after_stem(decision.looks[1].bits);
      relative += decision.looks[1].relative;
    }
    (decision.looks.size() == 2 ? two_looks : one_look) += 1;
    CHECK(decision.policy_bops == policy);
    CHECK(decision.bops == doctest::Approx(bops));
    CHECK(decision.relative == doctest::Approx(relative));
    CHECK(decision.relative == doctest::Approx(decision.bops / cost.reference()));
    CHECK(decision.label == decision.looks.back().index);
    CHECK(decision.label == std::max_element(decision.scores.begin(), decision.scores.end()) - decision.scores.begin());
    CHECK(decision.distributions.size() == decision.looks.back().bits.size());
    CHECK(decision.calibrated);
  }
  CHECK(one_look > 0);
  CHECK(two_looks > 0);
}

TEST_CASE("runtime/adaptive: a picture's decision does not depend on what was decided before") {
  const auto model = std::make_shared<Model>(adaptive_model());
  AdaptiveSession forwards(model), backwards(model);
  std::vector<Decision> first, second(20);
  for (std::uint64_t i = 0; i < 20; ++i) first.push_back(forwards.decide(picture(i), {std::nullopt, 0.4}));
  for (std::uint64_t i = 20; i-- > 0;) second[i] = backwards.decide(picture(i), {std::nullopt, 0.4});
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK(first[i].scores == second[i].scores);
    CHECK(first[i].looks.size() == second[i].looks.size());
    CHECK(first[i].severity == second[i].severity);
    CHECK(first[i].confidence == second[i].confidence);
  }
}

TEST_CASE("runtime/adaptive: a model without a policy runs its safe anchor and bills no policy") {
  ModelData data = adaptive_model();
  data.policy = {};
  AdaptiveSession session(std::make_shared<Model>(data));
  const Decision decision = session.decide(picture(1), {std::nullopt, 0.4});
  REQUIRE(decision.looks.size() == 1);
  CHECK(name_of(decision.looks[0], data) == data.anchors[static_cast<std::size_t>(data.safe_anchor)].name);
  CHECK(decision.policy_bops == 0);
  CHECK(decision.fallback.empty());
}

TEST_CASE("runtime/adaptive: statistics out of range fall back to the safe anchor, with static distributions") {
  ModelData data = adaptive_model();
  data.statistics.assign(statistics_names().begin(), statistics_names().end());
  data.ranges.assign(kStatisticsCount, {1e6F, 1e6F + 1});
  AdaptiveSession session(std::make_shared<Model>(data));
  const Decision decision = session.decide(picture(1), {std::nullopt, 0.4});
  REQUIRE(decision.looks.size() == 1);
  CHECK(decision.fallback == "out_of_range");
  CHECK(name_of(decision.looks[0], data) == data.anchors[static_cast<std::size_t>(data.safe_anchor)].name);
  CHECK(decision.policy_bops > 0);
  CHECK(decision.distributions[1].weight_mean == static_cast<float>(decision.looks[0].bits[1].weight));
  CHECK(decision.distributions[1].weight_std == 0);
}

TEST_CASE("runtime/adaptive: without the guard a policy that chooses by its looks alone decides the same and saves the observation") {
  ModelData data = adaptive_model();
  PolicyParameters policy = unpack_policy(data);
  policy.first_weight = policy.stop_weight = 0;
  policy.offset = {};
  data.policy = pack_policy(policy);
  const auto model = std::make_shared<Model>(data);
  AdaptiveSession guarded(model), unguarded(model);
  const PolicyHead head(data);
  CHECK_FALSE(unguarded.reads_statistics({std::nullopt, 0.4, false}));
  CHECK(unguarded.reads_statistics({std::nullopt, 0.4, true}));
  for (std::uint64_t i = 0; i < 20; ++i) {
    Prepared blind = picture(i);
    blind.statistics = ImageStatistics::none();
    const Decision with = guarded.decide(picture(i), {std::nullopt, 0.4}), without = unguarded.decide(blind, {std::nullopt, 0.4, false});
    CHECK(with.scores == without.scores);
    CHECK(with.looks.size() == without.looks.size());
    CHECK(with.bops - without.bops == doctest::Approx(head.bops() - head.bops(false)));
    CHECK(std::isfinite(with.severity));
    CHECK_FALSE(std::isfinite(without.severity));
  }
  CHECK(guard_relative_cost(data) == doctest::Approx((head.bops() - head.bops(false)) / unguarded.cost().reference()));
}

TEST_CASE("runtime/adaptive: without the guard a policy that reads the picture still does, but runs no safe anchor") {
  ModelData data = adaptive_model();
  data.statistics.assign(statistics_names().begin(), statistics_names().end());
  data.ranges.assign(kStatisticsCount, {1e6F, 1e6F + 1});
  AdaptiveSession session(std::make_shared<Model>(data));
  CHECK(session.reads_statistics({std::nullopt, 0.4, false}));
  const Decision decision = session.decide(picture(1), {std::nullopt, 0.4, false});
  CHECK(decision.fallback.empty());
  CHECK(decision.policy_bops == PolicyHead(data).bops());
  CHECK(guard_relative_cost(data) == 0);
}

TEST_CASE("runtime/adaptive: statistics that were not taken count as out of range") {
  ModelData data = adaptive_model();
  data.statistics.assign(statistics_names().begin(), statistics_names().end());
  data.ranges.assign(kStatisticsCount, {-1e6F, 1e6F});
  AdaptiveSession session(std::make_shared<Model>(data));
  Prepared blind = picture(1);
  CHECK(session.decide(blind, {std::nullopt, 0.4}).fallback.empty());
  blind.statistics = ImageStatistics::none();
  CHECK(session.decide(blind, {std::nullopt, 0.4}).fallback == "out_of_range");
}

TEST_CASE("runtime/adaptive: a fixed rule runs that configuration for every picture and says when it is no anchor") {
  const auto model = std::make_shared<Model>(adaptive_model());
  AdaptiveSession session(model);
  const BitConfig anchor = model->data().anchors[1].config;
  const Decision calibrated = session.decide(picture(2), {anchor, 0});
  CHECK(name_of(calibrated.looks.at(0), model->data()) == "u4");
  CHECK(calibrated.calibrated);
  CHECK(calibrated.policy_bops == 0);
  CHECK(calibrated.relative == doctest::Approx(session.cost().cost(anchor) / session.cost().reference()));
  const BitConfig other = uniform_config(model->data().space, 2, 8);
  const Decision uncalibrated = session.decide(picture(2), {other, 0});
  CHECK_FALSE(uncalibrated.calibrated);
  CHECK(uncalibrated.looks.at(0).anchor == -1);
  CHECK(name_of(uncalibrated.looks.at(0), model->data()) == to_string(other, model->data().space));
}

TEST_CASE("runtime/adaptive: a policy priced in time bills its own price list beside the BOPs") {
  ModelData data = adaptive_model();
  PolicyParameters policy = unpack_policy(data);
  policy.cost_unit = "ms";
  policy.reference_ms = 2;
  policy.choosing_cost = 0.0625;
  policy.guard_cost = 0.125;
  policy.networks_cost = 0.25;
  for (std::size_t k = 0; k < policy.anchors(); ++k) {
    policy.first_cost[k] = 0.25F + 0.125F * static_cast<float>(k);
    policy.second_cost[k] = 0.5F + 0.125F * static_cast<float>(k);
  }
  const auto in_bops = std::make_shared<Model>(data);
  data.policy = pack_policy(policy);
  const auto in_time = std::make_shared<Model>(data);
  AdaptiveSession bops(in_bops), time(in_time);
  int two_looks = 0;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const Decision counted = bops.decide(picture(i), {std::nullopt, 0.4});
    CHECK(counted.priced == counted.relative);
    const Decision timed = time.decide(picture(i), {std::nullopt, 0.4});
    double priced = 0.4375 + policy.first_cost[static_cast<std::size_t>(timed.looks[0].anchor)];
    if (timed.looks.size() == 2) priced += policy.second_cost[static_cast<std::size_t>(timed.looks[1].anchor)];
    two_looks += timed.looks.size() == 2;
    CHECK(timed.priced == doctest::Approx(priced));
    CHECK(timed.relative != doctest::Approx(timed.priced));
  }
  CHECK(two_looks > 0);
  // Where no choice reads the picture the networks are not billed, and without the guard nor is what they would read.
  policy.first_weight = policy.stop_weight = 0;
  policy.offset = {};
  data.policy = pack_policy(policy);
  AdaptiveSession plain(std::make_shared<Model>(data));
  const double guarded = plain.decide(picture(1), {std::nullopt, 0.4}).priced;
  const double unguarded = plain.decide(picture(1), {std::nullopt, 0.4, false}).priced;
  CHECK(guarded - unguarded == doctest::Approx(0.125));
}
