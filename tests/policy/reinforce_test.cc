#include "policy/reinforce.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace bitpilot;

namespace {

constexpr int kRungs = 3;

std::vector<BitDistribution> two_layers() {
  return {{BitFamily::kLogistic, -0.4, 0.8}, {BitFamily::kTruncatedNormal, 0.6, 0.3}};
}

/// Not additive, so that a layer's gradient depends on the other layer.
double reward(const std::vector<int>& rungs) { return 0.3 * rungs[0] - 0.5 * rungs[1] + 0.8 * (rungs[0] == rungs[1] ? 1 : 0); }

/// E[reward] over all actions.
double expected(const std::vector<BitDistribution>& layers) {
  const auto a = layers[0].rung_probabilities(kRungs), b = layers[1].rung_probabilities(kRungs);
  double sum = 0;
  for (int i = 0; i < kRungs; ++i)
    for (int j = 0; j < kRungs; ++j) sum += a[static_cast<std::size_t>(i)] * b[static_cast<std::size_t>(j)] * reward({i, j});
  return sum;
}

double difference(std::size_t layer) {
  constexpr double kStep = 1e-5;
  std::vector<BitDistribution> up = two_layers(), down = two_layers();
  up[layer].mean += kStep;
  down[layer].mean -= kStep;
  return (expected(up) - expected(down)) / (2 * kStep);
}

}  // namespace

TEST_CASE("policy/reinforce: the score is the slope of a rung's log probability, for both families") {
  constexpr double kStep = 1e-6;
  for (const BitDistribution& d : two_layers()) {
    INFO(bit_family_name(d.family));
    double balance = 0;
    for (int rung = 0; rung < kRungs; ++rung) {
      BitDistribution up = d, down = d;
      up.mean += kStep;
      down.mean -= kStep;
      const auto at = static_cast<std::size_t>(rung);
      const double slope = (std::log(up.rung_probabilities(kRungs)[at]) - std::log(down.rung_probabilities(kRungs)[at])) / (2 * kStep);
      CHECK(score_of_mean(d, rung, kRungs) == doctest::Approx(slope).epsilon(1e-5));
      balance += d.rung_probabilities(kRungs)[at] * score_of_mean(d, rung, kRungs);
    }
    CHECK(std::abs(balance) < 1e-9);  // probabilities sum to 1 whatever the mean
  }
}

TEST_CASE("policy/reinforce: the estimate averages to the enumerated gradient") {
  constexpr int kSamples = 40000;
  Random random(5, "reinforce test");
  std::vector<double> sum(2, 0), square(2, 0);
  for (int s = 0; s < kSamples; ++s) {
    const std::vector<double> g =
        reinforce_gradient(two_layers(), kRungs, 0, [](std::size_t, const std::vector<int>& rungs) { return reward(rungs); }, random);
    for (std::size_t l = 0; l < 2; ++l) {
      sum[l] += g[l];
      square[l] += g[l] * g[l];
    }
  }
  for (std::size_t l = 0; l < 2; ++l) {
    const double mean = sum[l] / kSamples, error = std::sqrt((square[l] / kSamples - mean * mean) / kSamples);
    INFO("layer ", l, ": ", mean, " +- ", error, ", enumerated ", difference(l));
    CHECK(std::abs(mean - difference(l)) < 3.5 * error);
    CHECK(std::abs(mean) > 5 * error);  // the test could tell 0 apart
  }
}

TEST_CASE("policy/reinforce: samples follow the rungs' probabilities, medians are the likeliest place of a narrow one") {
  constexpr int kSamples = 20000;
  Random random(6, "reinforce samples");
  std::vector<double> count(kRungs, 0);
  const std::vector<BitDistribution> layers = two_layers();
  for (int s = 0; s < kSamples; ++s) count[static_cast<std::size_t>(sample_rungs(layers, kRungs, random)[0])] += 1;
  for (int rung = 0; rung < kRungs; ++rung) {
    const double p = layers[0].rung_probabilities(kRungs)[static_cast<std::size_t>(rung)];
    CHECK(std::abs(count[static_cast<std::size_t>(rung)] / kSamples - p) < 4 * std::sqrt(p * (1 - p) / kSamples));
  }
  for (int rung = 0; rung < kRungs; ++rung)
    CHECK(median_rungs({BitDistribution::at_position(BitFamily::kLogistic, rung, kRungs, 0.1)}, kRungs)[0] == rung);
}

TEST_CASE("policy/reinforce: the same seed gives the same network, another one another") {
  Rows states{2, {}};
  for (int i = 0; i < 64; ++i) {
    Random picture(7, "reinforce states", static_cast<std::uint64_t>(i));
    for (int c = 0; c < 2; ++c) states.values.push_back(static_cast<float>(picture.normal()));
  }
  const ActionReward reward_of = [&](std::size_t picture, const std::vector<int>& rungs) {
    return rungs[0] == (states.row(picture)[0] > 0 ? 2 : 0) ? 1.0 : 0.0;
  };
  ReinforceOptions options;
  options.steps = 20;
  const RealMlp first = fit_reinforce(states, 1, kRungs, reward_of, options), again = fit_reinforce(states, 1, kRungs, reward_of, options);
  CHECK(first.front().weights == again.front().weights);
  options.seed = 1;
  CHECK(fit_reinforce(states, 1, kRungs, reward_of, options).front().weights != first.front().weights);
}
