#include <doctest/doctest.h>

#include <algorithm>

#include "env/reward.h"
#include "policy/hybrid_learner.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using bitpilot::testing::synthetic_model;

namespace {

/// A contextual bandit with a known best anchor for every quality: quality q in {0, 1, 2} shows in the statistics, and
/// only the anchors from rank q on (u2, u4, u8 by cost) are right; the scores say nothing about being right, so a
/// second look cannot be steered by them.
OutcomeTable bandit(const ModelData& model, std::size_t count, std::uint64_t seed) {
  OutcomeTable table = bitpilot::testing::synthetic_outcomes(model, count);
  const std::vector<int> rank{0, 1, 2, -1};  // of u2, u4, u8, half8: the last is never right
  for (std::size_t i = 0; i < count; ++i) {
    Random random(seed, "bandit", i);
    const auto quality = static_cast<int>(random.below(3));
    for (int s = 0; s < kStatisticsCount; ++s)
      table.statistics[i * kStatisticsCount + static_cast<std::size_t>(s)] =
          static_cast<float>((s == 3 ? 2.0 * quality : 0.0) + 0.15 * random.normal());
    table.labels[i] = static_cast<int>(random.below(table.classes));
    table.severity[i] = static_cast<std::uint8_t>(quality);
    for (std::size_t k = 0; k < 4; ++k) {
      const bool right = rank[k] >= quality;
      const auto answer =
          static_cast<std::size_t>((table.labels[i] + (right ? 0 : 1)) % static_cast<int>(table.classes));
      for (std::size_t c = 0; c < table.classes; ++c)
        table.scores[(i * 4 + k) * table.classes + c] = c == answer ? 3.0F : 0.0F;
    }
  }
  return table;
}

}  // namespace

TEST_CASE(
    "policy/hybrid_learner: on a bandit with a known optimum it reaches 95 % of the oracle's reward, and no constant "
    "choice does") {
  ModelData model = synthetic_model();
  const OutcomeTable train = bandit(model, 3000, 1), validation = bandit(model, 1500, 2), test = bandit(model, 2000, 3);
  PolicyOptions options;
  options.estimator.epochs = 15;
  fit_policy(model, options, train, validation);
  const double lambda = 1.0;
  PolicySweep sweep(model, test, 0.0);
  const auto choices = sweep.choose(lambda);
  double learner = 0, oracle = 0;
  std::vector<double> constant(4, 0);
  for (std::size_t i = 0; i < test.size(); ++i) {
    learner += kClippedLoss + episode_return(sweep.loss(i, choices[i].last()), lambda, sweep.cost_of(choices[i]));
    double best = -1e9;
    for (int k = 0; k < 4; ++k) {
      const double reward = kClippedLoss + episode_return(sweep.loss(i, k), lambda, sweep.cost_of({k, -1, false}));
      constant[static_cast<std::size_t>(k)] += reward;
      best = std::max(best, reward);
    }
    oracle += best;
  }
  const double best_constant = *std::max_element(constant.begin(), constant.end());
  CHECK(best_constant < 0.95 * oracle);
  CHECK(learner >= 0.95 * oracle);
  CHECK((learner - best_constant) >= 0.9 * (oracle - best_constant));
}
