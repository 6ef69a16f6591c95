#include <doctest/doctest.h>

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "env/reward.h"
#include "env/reward_model.h"
#include "policy/bucket_table.h"
#include "policy/hybrid_learner.h"
#include "policy/ppo.h"
#include "policy/reinforce.h"
#include "policy/two_looks.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using bitpilot::testing::synthetic_model;

namespace {

constexpr double kLambda = 1.0;
constexpr std::size_t kUseless = 3;  // half8 is never right

/// A contextual bandit with a known best anchor for every quality (methods 6.9 c): quality q in {0, 1, 2} shows in the
/// statistics, and only the anchors from rank q on (u2, u4, u8 by cost) are right; the scores say nothing about being
/// right, so a second look cannot be steered by them.
OutcomeTable bandit(const ModelData& model, std::size_t count, std::uint64_t seed) {
  OutcomeTable table = bitpilot::testing::synthetic_outcomes(model, count);
  const std::vector<int> rank{0, 1, 2, -1};
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

/// What a learner gets, and what its decisions are judged on.  Rewards are moved so that the worst task loss is worth 0.
struct Bandit {
  ModelData model = synthetic_model();
  OutcomeTable train = bandit(model, 3000, 1), validation = bandit(model, 1500, 2), test = bandit(model, 2000, 3);
  AnchorCosts costs = anchor_costs(model, bops_table(model.network, model.space));

  double reward(const OutcomeTable& table, std::size_t picture, const PolicyChoice& choice) const {
    const auto last = static_cast<std::size_t>(choice.last()), first = static_cast<std::size_t>(choice.first);
    const double cost = costs.first[first] + (choice.second >= 0 ? costs.second[last] : 0.0);
    const double loss = task_loss(table.scores_of(picture, last), 1.0F, table.labels[picture]);
    return kClippedLoss + episode_return(loss, kLambda, cost);
  }
};

/// The pictures' statistics by the training pictures' mean and deviation.
Rows states(const OutcomeTable& table, const OutcomeTable& train) {
  Rows rows{kStatisticsCount, {}};
  std::vector<double> mean(kStatisticsCount, 0), square(kStatisticsCount, 0);
  for (std::size_t i = 0; i < train.statistics.size(); ++i) {
    mean[i % kStatisticsCount] += train.statistics[i] / static_cast<double>(train.size());
    square[i % kStatisticsCount] += std::pow(train.statistics[i], 2) / static_cast<double>(train.size());
  }
  for (std::size_t i = 0; i < table.statistics.size(); ++i) {
    const std::size_t s = i % kStatisticsCount;
    rows.values.push_back(static_cast<float>((table.statistics[i] - mean[s]) / std::sqrt(square[s] - mean[s] * mean[s])));
  }
  return rows;
}

std::vector<PolicyChoice> full_information(const Bandit& b, int looks) {
  ModelData model = b.model;
  PolicyOptions options;
  options.looks = looks;
  options.estimator.epochs = 15;
  fit_policy(model, options, b.train, b.validation);
  return PolicySweep(model, b.test, 0.0).choose(kLambda);
}

std::vector<PolicyChoice> two_looks(const Bandit& b) { return full_information(b, 2); }
std::vector<PolicyChoice> one_look(const Bandit& b) { return full_information(b, 1); }

/// The ladder of a one-shot policy: anchors from cheap to dear, each better on average than all cheaper ones.
std::vector<int> pareto_path(const Bandit& b) {
  std::vector<int> order(b.model.anchors.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int x, int y) {
    return b.costs.first[static_cast<std::size_t>(x)] < b.costs.first[static_cast<std::size_t>(y)];
  });
  std::vector<int> path;
  double least = 1e9;
  for (const int k : order) {
    double loss = 0;
    for (std::size_t i = 0; i < b.train.size(); ++i)
      loss += task_loss(b.train.scores_of(i, static_cast<std::size_t>(k)), 1.0F, b.train.labels[i]);
    if (loss < least) path.push_back(k);
    least = std::min(least, loss);
  }
  return path;
}

std::vector<PolicyChoice> model_free(const Bandit& b) {
  const std::vector<int> ladder = pareto_path(b);
  const auto rungs = static_cast<int>(ladder.size());
  const RealMlp network = fit_reinforce(states(b.train, b.train), 1, rungs, [&](std::size_t picture, const std::vector<int>& action) {
    return b.reward(b.train, picture, {ladder[static_cast<std::size_t>(action[0])], -1, false});
  });
  std::vector<PolicyChoice> choices;
  for (const auto& action : reinforce_actions(network, states(b.test, b.train), rungs))
    choices.push_back({ladder[static_cast<std::size_t>(action[0])], -1, false});
  return choices;
}

/// A model-free learner of the two-look process: trained on episodes of the training pictures, then its best actions.
template <class Options>
std::vector<PolicyChoice> two_look_episodes(const Bandit& b, RealMlp (*fit)(EpisodeProcess&, const Options&)) {
  const Standardiser standardiser = Standardiser::of(b.train, b.model);
  TwoLooks process(b.train, b.model, b.costs, standardiser), asked(b.test, b.model, b.costs, standardiser);
  Options options;
  options.evaluations = 60000;
  options.lambda_low = options.lambda_high = kLambda;
  return greedy_choices(asked, fit(process, options), kLambda);
}
std::vector<PolicyChoice> reinforce_episodes(const Bandit& b) { return two_look_episodes<EpisodeReinforceOptions>(b, fit_reinforce); }
std::vector<PolicyChoice> ppo_episodes(const Bandit& b) { return two_look_episodes<PpoOptions>(b, fit_ppo); }

/// A rule for each bucket of the statistic that shows the quality.
std::vector<PolicyChoice> buckets(const Bandit& b) {
  const auto quality = [](const OutcomeTable& table) {
    std::vector<float> values;
    for (std::size_t i = 0; i < table.size(); ++i) values.push_back(table.statistics[i * kStatisticsCount + 3]);
    return values;
  };
  const std::vector<float> temperatures(b.model.anchors.size(), 1.0F);
  const BucketTable rules = fit_bucket_table(b.train, temperatures, b.costs, quality(b.train), 3, kLambda);
  return bucket_choices(rules, b.test, temperatures, quality(b.test));
}

/// Bits and widths of an anchor as the reward model reads them, for `count` pictures.
torch::Tensor bits_of(const BitConfig& config, std::int64_t count) {
  torch::Tensor bits = torch::empty({std::ssize(config), 2});
  for (std::int64_t l = 0; l < std::ssize(config); ++l) {
    bits[l][0] = config[static_cast<std::size_t>(l)].weight;
    bits[l][1] = config[static_cast<std::size_t>(l)].activation;
  }
  return bits.unsqueeze(0).expand({count, -1, -1});
}
torch::Tensor widths_of(const Bandit& b, const BitConfig& config, std::int64_t count) {
  torch::Tensor widths = torch::empty({std::ssize(config)});
  for (std::int64_t l = 0; l < std::ssize(config); ++l) {
    const auto at = static_cast<std::size_t>(l);
    widths[l] = static_cast<double>(config[at].active_blocks) / b.model.space.layers[at].blocks;
  }
  return widths.unsqueeze(0).expand({count, -1});
}
torch::Tensor tensor_of(const Rows& rows) {
  return torch::tensor(rows.values).view({static_cast<std::int64_t>(rows.count()), rows.columns});
}

std::vector<PolicyChoice> reward_model(const Bandit& b) {
  const auto pictures = static_cast<std::int64_t>(b.train.size()), asked = static_cast<std::int64_t>(b.test.size());
  std::vector<torch::Tensor> embedding, bits, width, loss, picture;
  for (std::size_t k = 0; k < b.model.anchors.size(); ++k) {
    const BitConfig& config = b.model.anchors[k].config;
    embedding.push_back(tensor_of(states(b.train, b.train)));
    bits.push_back(bits_of(config, pictures));
    width.push_back(widths_of(b, config, pictures));
    std::vector<float> losses;
    for (std::size_t i = 0; i < b.train.size(); ++i)
      losses.push_back(static_cast<float>(task_loss(b.train.scores_of(i, k), 1.0F, b.train.labels[i])));
    loss.push_back(torch::tensor(losses));
    picture.push_back(torch::arange(pictures));
  }
  RewardModel learned(kStatisticsCount, b.model.network.layer_count(), {});
  learned.fit({torch::cat(embedding), torch::cat(bits), torch::cat(width), torch::cat(loss), torch::cat(picture)});
  REQUIRE(learned.trusted());
  std::vector<torch::Tensor> value;  // of each anchor: predicted loss, pessimistic, and its price
  for (std::size_t k = 0; k < b.model.anchors.size(); ++k) {
    const BitConfig& config = b.model.anchors[k].config;
    const auto said = learned.predict(tensor_of(states(b.test, b.train)), bits_of(config, asked), widths_of(b, config, asked));
    value.push_back((said.mean + said.deviation + kLambda * b.costs.first[k]).detach());
  }
  const torch::Tensor best = torch::stack(value, 1).argmin(1);
  std::vector<PolicyChoice> choices;
  for (std::int64_t i = 0; i < asked; ++i) choices.push_back({static_cast<int>(best[i].item<std::int64_t>()), -1, false});
  return choices;
}

/// Every learner of per-picture decisions joins the contract by one line.
struct Learner {
  const char* name;
  std::vector<PolicyChoice> (*decide)(const Bandit&);  ///< learns from train and validation, decides on test
};
constexpr Learner kLearners[] = {
    {"two looks from full information (fit_policy)", two_looks},
    {"one look from full information", one_look},
    {"planning with the learned reward model (RewardModel)", reward_model},
    {"a rule for each bucket of quality (fit_bucket_table)", buckets},
    {"model-free policy gradient (fit_reinforce)", model_free},
    {"the same on the two-look process", reinforce_episodes},
    {"proximal policy optimisation on the two-look process (fit_ppo)", ppo_episodes},
};

}  // namespace

TEST_CASE(
    "policy/learner contract: on a bandit with a known optimum every learner reaches 95 % of the oracle's reward, and no "
    "constant choice does") {
  static const Bandit b;
  double oracle = 0;
  std::vector<double> constant(b.model.anchors.size(), 0);
  for (std::size_t i = 0; i < b.test.size(); ++i) {
    double best = -1e9;
    for (std::size_t k = 0; k < constant.size(); ++k) {
      const double reward = b.reward(b.test, i, {static_cast<int>(k), -1, false});
      constant[k] += reward;
      best = std::max(best, reward);
    }
    oracle += best;
  }
  const double best_constant = *std::max_element(constant.begin(), constant.end());
  CHECK(best_constant < 0.95 * oracle);
  for (const Learner& learner : kLearners) {
    INFO(std::string(learner.name));
    const std::vector<PolicyChoice> choices = learner.decide(b);
    REQUIRE(choices.size() == b.test.size());
    double reward = 0, useless = 0;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      reward += b.reward(b.test, i, choices[i]);
      useless += choices[i].last() == static_cast<int>(kUseless) ? 1 : 0;
    }
    INFO("reward ", reward / oracle, " of the oracle's, the best constant ", best_constant / oracle);
    CHECK(reward >= 0.95 * oracle);
    CHECK(reward - best_constant >= 0.7 * (oracle - best_constant));
    CHECK(useless < 0.02 * static_cast<double>(choices.size()));
  }
}
