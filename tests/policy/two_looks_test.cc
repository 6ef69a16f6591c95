#include "policy/two_looks.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "env/bit_env.h"
#include "policy/ppo.h"
#include "runtime/core/error.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using bitpilot::testing::synthetic_model;

namespace {

Sample random_sample(std::size_t i) {
  Random random(3, "two looks sample", i);
  Image image(12, 12, 1);
  for (auto& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
  Sample sample;
  sample.prepared = preprocess(image.view(), {1, 12, 12});
  sample.label = static_cast<int>(i % 5);
  sample.index = i;
  sample.family = "clean";
  return sample;
}

constexpr double kLambda = 0.7;
constexpr int kU2 = 0, kU8 = 2;

struct Fixture {
  std::shared_ptr<const Model> model = std::make_shared<const Model>(synthetic_model());
  CostTable bops = bops_table(model->data().network, model->data().space);
  OutcomeTable table = roll_out(model, 12, random_sample, 1);
  TwoLooks process{table, model->data(), anchor_costs(model->data(), bops), Standardiser::of(table, model->data())};
  int stop = process.stop();
};

}  // namespace

TEST_CASE("policy/two_looks: rewards are those of the environment that executes the same actions, whatever the episode") {
  Fixture f;
  BitEnv env(f.model, f.bops, /*policy_cost=*/0);
  const auto look = [&](int anchor) { return TakeLook{anchor, f.model->data().anchors[static_cast<std::size_t>(anchor)].config, {}}; };
  std::int64_t passes = 0;
  for (std::size_t picture = 0; picture < f.table.size(); ++picture) {
    for (const std::vector<int>& actions : std::vector<std::vector<int>>{{kU2, f.stop}, {kU2, 1}, {1, kU8}, {kU8}}) {
      INFO("picture ", picture, ", first look ", actions[0], ", turns ", actions.size());
      env.reset(random_sample(picture), kLambda);
      std::vector<int> taken;
      for (const int action : actions) {
        taken.push_back(action);
        BitEnv::Outcome theirs = action == f.stop ? env.step(StopLooking{}) : env.step(look(action));
        // Looking at the dearest anchor leaves nothing to decide: the process ends where the environment waits for a stop.
        if (action == kU8 && taken.size() == 1) theirs.reward += env.step(StopLooking{}).reward;
        const EpisodeProcess::Step ours = f.process.execute(picture, kLambda, taken);
        CHECK(ours.reward == doctest::Approx(theirs.reward));
        CHECK(ours.done == (action == kU8 || taken.size() == 2));
        if (action != f.stop) ++passes;
      }
    }
  }
  CHECK(f.process.evaluations() == passes);
}

TEST_CASE("policy/two_looks: the state shows what the look showed, and only stopping or a dearer look is allowed behind it") {
  const Fixture f;
  const EpisodeProcess::Turn start = f.process.turn(4, kLambda, {}), behind = f.process.turn(4, kLambda, {1});
  REQUIRE(static_cast<int>(start.state.size()) == f.process.state_size());
  REQUIRE(static_cast<int>(behind.state.size()) == f.process.state_size());
  CHECK(start.allowed == std::vector<std::uint8_t>{1, 1, 1, 1, 0});
  CHECK(behind.allowed[0] == 0);
  CHECK(behind.allowed[1] == 0);
  CHECK(behind.allowed[kU8] == 1);
  CHECK(behind.allowed.back() == 1);
  const std::size_t seen = start.state.size() - 8;  // one-hot of 4 anchors, top, second, margin, entropy
  CHECK(std::all_of(start.state.begin() + static_cast<std::ptrdiff_t>(seen), start.state.end(), [](float x) { return x == 0; }));
  const auto scores = f.table.scores_of(4, 1);
  const SeenLook look = summarise_look(1, 4, {scores.begin(), scores.end()}, f.model->data().anchors[1].temperature);
  const std::vector<float> shown(behind.state.begin() + static_cast<std::ptrdiff_t>(seen), behind.state.end());
  CHECK(shown == std::vector<float>{0, 1, 0, 0, look.top, look.second, look.margin, look.entropy});
  CHECK(std::equal(start.state.begin(), start.state.begin() + static_cast<std::ptrdiff_t>(seen), behind.state.begin()));
  CHECK(f.process.turn(4, 2 * kLambda, {}).state != start.state);
  Fixture other;
  CHECK_THROWS_AS(other.process.execute(0, kLambda, {other.stop}), Error);
}

TEST_CASE("policy/episodes: drawn actions follow the softmax of the allowed logits, greedy ones its top") {
  Fixture f;
  // No weights, only biases: probabilities 1 : 2 : 4 : 8 of the anchors; stopping would be likeliest, but it is forbidden first.
  RealMlp policy{{f.process.state_size(), 5, std::vector<float>(static_cast<std::size_t>(5 * f.process.state_size()), 0.0F), {0, 0, 0, 0, 9}}};
  for (std::size_t a = 0; a < 4; ++a) policy[0].bias[a] = static_cast<float>(a) * std::log(2.0F);
  std::vector<int> count(5, 0);
  constexpr int kEpisodes = 6000;
  Random random(2, "episodes test");
  const std::vector<std::size_t> pictures(kEpisodes, 3);
  for (const Episode& episode : run_episodes(f.process, policy, pictures, std::vector<double>(kEpisodes, kLambda), &random))
    ++count[static_cast<std::size_t>(episode.taken()[0])];
  for (std::size_t a = 0; a < 4; ++a)
    CHECK(count[a] / static_cast<double>(kEpisodes) == doctest::Approx((1 << a) / 15.0).epsilon(0.12));
  CHECK(count[4] == 0);
  const Episode best = run_episodes(f.process, policy, {3}, {kLambda}, nullptr).front();
  CHECK(best.taken() == std::vector<int>{3, f.stop});
  CHECK(best.total() == doctest::Approx(best.acts[0].reward + best.acts[1].reward));
}

TEST_CASE("policy/ppo: generalised advantages end with the episode and sum the later errors of the values") {
  const std::vector<double> rewards{-0.1, -0.2, -1.0}, values{-0.9, -0.7, -1.1};
  // Errors of the values, by hand: -0.1 - 0.7 + 0.9 = 0.1; -0.2 - 1.1 + 0.7 = -0.6; -1.0 + 1.1 = 0.1.
  const std::vector<double> got = generalised_advantages(rewards, values, 0.5);
  REQUIRE(got.size() == 3);
  CHECK(got[2] == doctest::Approx(0.1));
  CHECK(got[1] == doctest::Approx(-0.6 + 0.5 * 0.1));
  CHECK(got[0] == doctest::Approx(0.1 + 0.5 * (-0.6) + 0.25 * 0.1));
  // At gae = 1 what remains is return minus value; at 0 one step's error.
  CHECK(generalised_advantages(rewards, values, 1)[0] == doctest::Approx(-1.3 + 0.9));
  CHECK(generalised_advantages(rewards, values, 0)[0] == doctest::Approx(0.1));
}
