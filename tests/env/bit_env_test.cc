#include "env/bit_env.h"

#include <doctest/doctest.h>

#include <cmath>

#include "env/reward.h"
#include "runtime/adaptive.h"
#include "runtime/core/error.h"
#include "runtime/random_policy.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;

namespace {

// What a decision may be made from knows neither the answer nor how the picture was spoilt: checked by the compiler.
template <class T>
concept Tells = requires(T t) { t.label; } || requires(T t) { t.labels; } || requires(T t) { t.target; } ||
                requires(T t) { t.correct; } || requires(T t) { t.loss; } || requires(T t) { t.family; } ||
                requires(T t) { t.degradation; } || requires(T t) { t.index; };
static_assert(Tells<Sample>, "the check must know a type that tells when it sees one");
static_assert(!Tells<State> && !Tells<SeenLook> && !Tells<ImageStatistics> && !Tells<Observation>);
// An observation's severity is the estimator's own output; a state holds none.
template <class T>
concept TellsSeverity = requires(T t) { t.severity; };
static_assert(TellsSeverity<Sample> && !TellsSeverity<State> && !TellsSeverity<SeenLook>);

ModelData env_model() {
  ModelData model = bitpilot::testing::sample_model(bitpilot::testing::sample_network());
  model.statistics.clear();
  model.ranges.clear();
  model.policy = pack_policy(bitpilot::random_policy(model));
  return model;
}

Sample random_sample(std::uint64_t i) {
  Random random(4, "env sample", i);
  Image image(12, 12, 1);
  for (auto& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
  Sample sample;
  sample.prepared = preprocess(image.view(), {1, 12, 12});
  sample.label = static_cast<int>(i % 5);
  return sample;
}

}  // namespace

TEST_CASE("env/reward: task loss is the clipped cross-entropy at a temperature") {
  const std::vector<float> scores{2.0F, 0.0F, -1.0F};
  const double sum = std::exp(1.0) + std::exp(0.0) + std::exp(-0.5);
  CHECK(task_loss(scores, 2.0F, 1) == doctest::Approx(std::log(sum)));
  CHECK(task_loss(std::vector<float>{100.0F, 0.0F}, 1.0F, 1) == kClippedLoss);
  CHECK(task_loss(std::vector<float>{100.0F, 0.0F}, 1.0F, 0) == doctest::Approx(0.0));
  CHECK(top_class(std::vector<float>{1.0F, 3.0F, 3.0F}) == 1);
}

TEST_CASE("env/bit_env: rewards of an episode add up to its return, with every look billed") {
  const auto model = std::make_shared<const Model>(env_model());
  const ModelData& data = model->data();
  const CostTable cost = bops_table(data.network, data.space);
  BitEnv env(model, cost, 0.01);
  for (const bool twice : {false, true}) {
    const Sample sample = random_sample(3);
    const State start = env.reset(sample, 0.7);
    CHECK_FALSE(start.look.has_value());
    CHECK(start.statistics.values == sample.prepared.statistics.values);
    BitEnv::Outcome outcome = env.step(TakeLook{0, data.anchors[0].config, {}});
    double total = outcome.reward, expected_cost = 0.01 + cost.cost(data.anchors[0].config) / cost.reference();
    CHECK_FALSE(outcome.done);
    CHECK(outcome.state.look->anchor == 0);
    int last = 0;
    if (twice) {
      outcome = env.step(TakeLook{2, data.anchors[2].config, {}});
      expected_cost += cost.cost_after_stem(data.anchors[2].config) / cost.reference();
      last = 2;
    } else {
      outcome = env.step(StopLooking{});
    }
    total += outcome.reward;
    CHECK(outcome.done);
    CHECK(env.relative_cost() == doctest::Approx(expected_cost));
    const double loss =
        task_loss(outcome.state.look->scores, data.anchors[static_cast<std::size_t>(last)].temperature, sample.label);
    CHECK(total == doctest::Approx(episode_return(loss, 0.7, expected_cost)));
    CHECK_THROWS_AS(env.step(StopLooking{}), Error);
  }
  env.reset(random_sample(1), 0.1);
  CHECK_THROWS_AS(env.step(StopLooking{}), Error);
}

TEST_CASE("env/bit_env: following the policy costs and predicts what the runtime does") {
  const auto model = std::make_shared<const Model>(env_model());
  const ModelData& data = model->data();
  const PolicyHead head(data);
  PolicyScratch scratch;
  const CostTable cost = bops_table(data.network, data.space);
  BitEnv env(model, cost, head.bops() / cost.reference());
  AdaptiveSession session(model);
  for (std::uint64_t i = 0; i < 20; ++i) {
    const Sample sample = random_sample(i);
    const double lambda = i % 2 == 0 ? 0.4 : 8.0;
    const State state = env.reset(sample, lambda);
    const Observation& observation = head.observe(state.statistics, state.stem_sums, scratch);
    const FirstLook& first = head.first(observation, lambda, scratch);
    BitEnv::Outcome outcome = env.step(TakeLook{first.anchor, first.config, first.distributions});
    const SecondLook& second = head.second(observation, first, outcome.state.look->scores, lambda, scratch);
    outcome = second.anchor < 0
                  ? env.step(StopLooking{})
                  : env.step(TakeLook{second.anchor, data.anchors[static_cast<std::size_t>(second.anchor)].config, {}});
    const Decision decision = session.decide(sample.prepared, {std::nullopt, lambda});
    CHECK(outcome.state.look->scores == decision.scores);
    CHECK(env.relative_cost() == doctest::Approx(decision.relative));
  }
}

TEST_CASE("env/observation: a look's summary is its two largest probabilities, margin and entropy") {
  const SeenLook look = summarise_look(1, 3, {0.0F, std::log(4.0F), std::log(2.0F)}, 1.0F);
  CHECK(look.top == doctest::Approx(4.0 / 7));
  CHECK(look.second == doctest::Approx(2.0 / 7));
  CHECK(look.margin == doctest::Approx(2.0 / 7));
  CHECK(look.position == doctest::Approx(0.5));
  double entropy = 0;
  for (const double p : {1.0 / 7, 4.0 / 7, 2.0 / 7}) entropy -= p * std::log(p);
  CHECK(look.entropy == doctest::Approx(entropy));
}
