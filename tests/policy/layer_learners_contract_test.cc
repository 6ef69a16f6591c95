// The contract of learners that set bits layer by layer, on a made-up network whose best bits are known: what a layer's
// weights and activations lose at each rung adds up, so the optimum follows layer by layer or by enumeration.
#include <doctest/doctest.h>

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "env/reward.h"
#include "env/simulator.h"
#include "policy/ddpg.h"
#include "policy/fracbits.h"
#include "policy/gumbel.h"
#include "policy/offset_learner.h"
#include "policy/policy_sweep.h"
#include "policy/quality_estimator.h"
#include "policy/random_bits.h"
#include "policy/relaxed_bits.h"
#include "policy/stop_rule.h"
#include "runtime/random_policy.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using bitpilot::testing::synthetic_model;

namespace {

constexpr double kWorst = 2;     // the sum of the sensitivities: rewards of pictures are moved so that the worst loss is worth 0
constexpr double kLambda = 1.8;  // of rewards
constexpr int kRungs = 3;
constexpr std::int64_t kJudged = 160000;  // evaluations of their rows in experiments/rows.json; all else is the learners' default, there and here

/// Loss of a configuration: over layers and tensors, sensitivity of the layer * what the rung lacks to the quality of the
/// picture.  Quality q in {0, 1, 2} asks for rung q; each rung below it costs one unit.
struct AdditiveNetwork : Simulator {
  ModelData model = synthetic_model();
  CostTable cost = bops_table(model.network, model.space);
  LadderTensors ladder = ladder_tensors(model, cost);
  std::vector<double> sensitivity{0, 0.9, 0.1, 0.3, 0.05, 0.15, 0.5, 0};  // stem and classifier are fixed
  bool per_quality = true;  ///< false: every picture is of the highest quality

  static double lacking(int rung, int quality) { return std::max(0, quality - rung) / 2.0; }
  int quality_of(std::size_t picture) const {
    return per_quality ? static_cast<int>(Random(8, "quality", picture).below(3)) : 2;
  }
  /// The quality stands in the picture's codes; the answer in no place.
  Sample sample(std::size_t picture) const {
    Sample sample;
    sample.prepared.codes.assign(12 * 12, static_cast<std::uint8_t>(quality_of(picture)));
    return sample;
  }
  /// The same with the statistics that the engine's programs see, and a label that nothing tells.
  Sample drawn(std::size_t picture) const {
    Sample drawn = sample(picture);
    Random random(8, "statistics", picture);
    for (std::size_t s = 0; s < kStatisticsCount; ++s)
      drawn.prepared.statistics.values[s] = static_cast<float>((s % 3 == 0 ? quality_of(picture) : 0) + 0.1 * random.normal());
    drawn.severity = quality_of(picture);
    drawn.label = static_cast<int>(random.below(static_cast<std::uint64_t>(model.network.classes())));
    drawn.index = picture;
    drawn.family = "clean";
    return drawn;
  }
  Rows states(std::size_t from, std::size_t count) const {
    Rows rows{3, {}};
    for (std::size_t i = from; i < from + count; ++i) {
      Random noise(8, "states", i);
      rows.values.push_back(static_cast<float>(quality_of(i) - 1 + 0.1 * noise.normal()));
      for (int c = 0; c < 2; ++c) rows.values.push_back(static_cast<float>(noise.normal()));
    }
    return rows;
  }
  double loss_of(const BitConfig& config, int quality) const {
    double loss = 0;
    for (std::size_t l = 0; l < config.size(); ++l) {
      const auto& bits = model.space.layers[l].bits;
      const auto rung = [&](int b) { return static_cast<int>(std::lower_bound(bits.begin(), bits.end(), b) - bits.begin()); };
      if (!model.space.layers[l].fixed)
        loss += sensitivity[l] / 2 * (lacking(rung(config[l].weight), quality) + lacking(rung(config[l].activation), quality));
    }
    return loss;
  }
  double relative(const BitConfig& config) const { return cost.cost(config) / cost.reference(); }

  torch::Tensor loss(const torch::Tensor& pictures, const torch::Tensor&, const torch::Tensor&, const torch::Tensor& bits) override {
    const torch::Tensor quality = pictures.flatten(1).select(1, 0).to(torch::kFloat32);
    torch::Tensor sum = torch::zeros({pictures.size(0)});
    for (std::int64_t l = 0; l < bits.size(1); ++l) {
      if (model.space.layers[static_cast<std::size_t>(l)].fixed) continue;
      for (std::int64_t t = 0; t < 2; ++t) {
        const torch::Tensor given = bits.select(1, l).select(1, t);
        for (int rung = 0; rung < kRungs; ++rung) {
          const double here = model.space.layers[1].bits[static_cast<std::size_t>(rung)];
          // Shares as they are; bits in between as shares of their two neighbours.
          const torch::Tensor share =
              given.dim() == 2 ? given.select(1, rung)
                               : torch::clamp_min(1 - (torch::log2(given) - std::log2(here)).abs(), 0.0);  // the ladder is 2, 4, 8
          sum = sum + sensitivity[static_cast<std::size_t>(l)] / 2 * share * torch::clamp_min(quality - rung, 0.0) / 2;
        }
      }
    }
    return sum;
  }
};

double reward(const AdditiveNetwork& n, const BitConfig& config, int quality) {
  return kWorst - n.loss_of(config, quality) - kLambda * n.relative(config);
}

/// Uniform configurations of the model, cheap to dear.
std::vector<BitConfig> uniforms(const AdditiveNetwork& n) {
  std::vector<BitConfig> configs;
  for (const int bits : {2, 4, 8}) configs.push_back(uniform_config(n.model.space, bits, bits));
  return configs;
}

/// The least loss at the highest quality within a budget, by enumeration of all layers' settings.
double least_loss(const AdditiveNetwork& n, double budget) {
  std::vector<std::pair<double, double>> front{{0, 0}};  // relative cost, loss of the layers so far
  BitConfig config = uniform_config(n.model.space, 8, 8);
  for (std::size_t l = 0; l < config.size(); ++l) {
    std::vector<std::pair<double, double>> next;
    const LayerBits whole = config[l];
    const bool fixed = n.model.space.layers[l].fixed;
    for (int w = 0; w < (fixed ? 1 : kRungs); ++w) {
      for (int a = 0; a < (fixed ? 1 : kRungs); ++a) {
        if (!fixed) {
          config[l].weight = n.model.space.layers[l].bits[static_cast<std::size_t>(w)];
          config[l].activation = n.model.space.layers[l].bits[static_cast<std::size_t>(a)];
        }
        const double c = n.cost.layer_cost(static_cast<int>(l), config) / n.cost.reference();
        const double lost = fixed ? 0 : n.sensitivity[l] / 2 * (AdditiveNetwork::lacking(w, 2) + AdditiveNetwork::lacking(a, 2));
        for (const auto& [before, loss] : front) {
          if (before + c <= budget) next.emplace_back(before + c, loss + lost);
        }
      }
    }
    config[l] = whole;
    front = std::move(next);
  }
  double least = 1e9;
  for (const auto& [c, loss] : front) least = std::min(least, loss);
  return least;
}

constexpr double kBudget = 0.3;

/// A static learner must close most of what lies between the best uniform configuration within the budget and the best of all.
void check_static(const AdditiveNetwork& n, const BitConfig& config) {
  const double best = least_loss(n, kBudget);
  double uniform = 1e9;
  for (const BitConfig& u : uniforms(n)) {
    if (n.relative(u) <= kBudget) uniform = std::min(uniform, n.loss_of(u, 2));
  }
  const double loss = n.loss_of(config, 2);
  INFO("loss ", loss, ", best ", best, ", uniform ", uniform, ", cost ", n.relative(config));
  CHECK(n.relative(config) <= kBudget * 1.01);
  CHECK(kClippedLoss - loss >= 0.95 * (kClippedLoss - best));
  REQUIRE(uniform > best + 0.2);
  CHECK(uniform - loss >= 0.7 * (uniform - best));
}

/// The best configuration where these qualities are equally likely: what layers lose and cost adds up, so each layer's best is the best.
/// `tied`: weights and activations share a rung.
BitConfig best_config(const AdditiveNetwork& n, const std::vector<int>& qualities, bool tied) {
  BitConfig config = uniform_config(n.model.space, 2, 2);
  for (std::size_t l = 0; l < config.size(); ++l) {
    const LayerSpace& space = n.model.space.layers[l];
    if (space.fixed) continue;
    BitConfig trial = config;
    double most = 0;
    for (const int weight : space.bits) {
      for (const int activation : space.bits) {
        if (tied && weight != activation) continue;
        trial[l].weight = weight;
        trial[l].activation = activation;
        double sum = 0;
        for (const int quality : qualities) sum += reward(n, trial, quality);
        if (sum <= most) continue;
        most = sum;
        config = trial;
      }
    }
  }
  return config;
}

/// A learner of per-picture bits decided `configs` for the pictures from `first` on.
void check_per_picture(const AdditiveNetwork& n, const std::vector<BitConfig>& configs, std::size_t first, bool tied) {
  const BitConfig constant = best_config(n, {0, 1, 2}, tied), best[] = {best_config(n, {0}, tied), best_config(n, {1}, tied), best_config(n, {2}, tied)};
  double oracle = 0, ours = 0, of_constant = 0;
  for (std::size_t i = 0; i < configs.size(); ++i) {
    const int quality = n.quality_of(first + i);
    oracle += reward(n, best[quality], quality);
    ours += reward(n, configs[i], quality);
    of_constant += reward(n, constant, quality);
  }
  INFO("reward ", ours / oracle, " of the oracle's, the best constant ", of_constant / oracle);
  REQUIRE(!configs.empty());
  CHECK(ours >= 0.95 * oracle);
  REQUIRE(of_constant < 0.95 * oracle);
  CHECK(ours - of_constant >= 0.7 * (oracle - of_constant));
}

/// The model with a policy that looks at u4 whatever the picture shows: offsets of a rung each way reach every configuration.
ModelData looks_at_u4(const AdditiveNetwork& n, const OutcomeTable& pictures) {
  ModelData model = n.model;
  PolicyParameters p = random_policy(model);
  p.offset = {};
  p.first_weight = 0;
  p.first_residual = {};
  for (auto& row : p.first_allowed) row = {0, 1, 0, 0};  // of u2, u4, u8, half8
  never_look_again(p);
  EstimatorOptions estimator;
  estimator.stem = false;
  fit_quality_estimator(pictures, std::vector<float>(model.anchors.size(), 1.0F), stem_pixels(model), estimator, p);
  model.policy = pack_policy(p);
  model.default_lambda = 4;  // what is kept is judged by the integers of its random weights, which bits say little of: there cost decides
  return model;
}

}  // namespace

TEST_CASE("policy/gumbel contract: the controller reaches 95 % of the oracle's reward, and no constant configuration does") {
  AdditiveNetwork n;
  constexpr std::size_t kTrain = 2000, kTest = 600;
  GumbelOptions options;
  options.evaluations = kJudged;
  options.lambda = kLambda;
  const RealMlp controller =
      fit_gumbel(n.model, n.cost, n.states(0, kTrain), [&](std::size_t i) { return n.sample(i); }, n, options);
  check_per_picture(n, gumbel_configs(n.model, controller, n.states(kTrain, kTest)), kTrain, /*tied=*/true);
}

TEST_CASE("policy/offset_learner contract: from one anchor for every picture the offsets reach 95 % of the oracle's reward") {
  AdditiveNetwork n;
  constexpr std::size_t kTrain = 600, kTest = 400;
  const auto at = [&](std::size_t first) { return [&n, first](std::size_t i) { return n.drawn(first + i); }; };
  const auto bare = std::make_shared<const Model>(n.model);
  const OutcomeTable train = roll_out(bare, kTrain, at(0), 1), test = roll_out(bare, kTest, at(kTrain), 1);
  ModelData model = looks_at_u4(n, train);
  OffsetInputs inputs{std::make_shared<const Model>(model), &train, at(0), &train, at(0), &n};
  OffsetOptions options;
  options.gate = 2;  // what the integers of a network of random weights say teaches nothing of this one
  options.lambda_low = options.lambda_high = kLambda;
  options.learning_rate = 1e-2;  // so that the default number of steps goes a whole rung
  options.rollout_pictures = 100;
  options.check_pictures = kTrain;
  const OffsetResult result = learn_offsets(model, inputs, options);
  REQUIRE(result.teacher == "simulator");
  INFO("gain in integers ", result.reward_gain.mean, " from ", result.reward_gain.low);
  REQUIRE(result.kept);
  const PolicySweep sweep(model, test, 0);
  PolicyScratch scratch;
  std::vector<BitConfig> configs;
  for (std::size_t i = 0; i < kTest; ++i) configs.push_back(sweep.head().first(sweep.observation(i), kLambda, scratch).config);
  check_per_picture(n, configs, kTrain, /*tied=*/false);
}

TEST_CASE("policy/fracbits contract: fractional bits find the known mix of bits and cost the budget") {
  AdditiveNetwork n;
  n.per_quality = false;
  FracBitsOptions options;
  options.budget = kBudget;
  options.evaluations = kJudged;
  const BitConfig config = fit_fracbits(n.model, n.cost, 100, [&](std::size_t i) { return n.sample(i); }, n, options);
  check_static(n, config);
  CHECK(n.relative(config) >= 0.99 * kBudget);
}

TEST_CASE("policy/ddpg contract: the search finds the known mix of bits within the budget") {
  AdditiveNetwork n;
  n.per_quality = false;
  DdpgOptions options;
  options.budget = kBudget;
  options.hidden = 64;  // a small network has few layers to tell apart
  options.episodes = 400;
  options.actor_rate = 1e-3;
  int judged = 0;
  const ConfigJudge judge = [&](const BitConfig& config) {
    ++judged;
    return SearchPoint{config, n.relative(config), n.loss_of(config, 2), 0.9 - 0.1 * n.loss_of(config, 2)};
  };
  const DdpgResult result = fit_ddpg(n.model.network, n.model.space, n.cost, judge, options);
  CHECK(result.evaluations == judged);
  CHECK(result.best.relative <= kBudget);
  check_static(n, result.best.config);
}

TEST_CASE("policy/ddpg: with the settings that it is judged with the actor learns strategies that random ones do not reach") {
  AdditiveNetwork n;
  n.per_quality = false;
  double uniform = 1e9;
  for (const BitConfig& u : uniforms(n)) {
    if (n.relative(u) <= kBudget) uniform = std::min(uniform, n.loss_of(u, 2));
  }
  const double best = least_loss(n, kBudget);
  constexpr int kStrategies = kJudged / 512 - 1;  // pictures a strategy is judged on there
  constexpr std::size_t kLast = 50;
  // How much of the way from the best uniform configuration to the best of all the last strategies come, on average.  The best strategy of
  // all, which is what the search returns, tells nothing about learning: in so small a space as many random ones find one as good.
  const auto closed_by_last = [&](int warm_up) {
    DdpgOptions options;
    options.budget = kBudget;
    options.episodes = kStrategies;
    options.warm_up = warm_up;
    std::vector<double> losses;
    const ConfigJudge judge = [&](const BitConfig& config) {
      losses.push_back(n.loss_of(config, 2));
      return SearchPoint{config, n.relative(config), losses.back(), 0.9 - 0.1 * losses.back()};
    };
    const DdpgResult result = fit_ddpg(n.model.network, n.model.space, n.cost, judge, options);
    CHECK(result.evaluations == kStrategies + 1);
    CHECK(static_cast<std::size_t>(result.evaluations) == losses.size());
    CHECK(result.best.relative <= kBudget);
    CHECK(result.best.loss == *std::min_element(losses.begin() + 1, losses.end()));  // the first one is uniform 8 bits
    CHECK(result.best.loss < uniform);
    double mean = 0;
    for (std::size_t i = losses.size() - kLast; i < losses.size(); ++i) mean += losses[i] / kLast;
    return (uniform - mean) / (uniform - best);
  };
  const double learned = closed_by_last(DdpgOptions{}.warm_up), random = closed_by_last(kStrategies);
  INFO("closed ", learned, ", random strategies ", random);
  CHECK(learned > -0.3);  // it settles at the budget's edge, short of the best uniform configuration
  CHECK(random < -0.3);
}

TEST_CASE("policy/fracbits: hardened positions cost the budget within 1 % and give way where the loss leans least") {
  const AdditiveNetwork n;
  const std::size_t layers = n.model.space.layers.size();
  const std::vector<double> even(2 * layers, 1.0);
  Random random(6, "positions");
  for (const double budget : {0.15, 0.3, 0.6}) {
    INFO("budget ", budget);
    std::vector<double> positions;
    for (std::size_t t = 0; t < 2 * layers; ++t) positions.push_back(2 * random.uniform());
    const BitConfig config = harden_positions(n.model.space, n.cost, positions, even, budget);
    CHECK_NOTHROW(check_config(n.model.network, n.model.space, config));
    CHECK(std::abs(n.relative(config) / budget - 1) <= 0.01);
  }
  // Positions on the rungs of a configuration, at its own cost: nothing moves.
  const BitConfig u4 = uniform_config(n.model.space, 4, 4);
  const std::vector<double> middle(2 * layers, 1.0);
  CHECK((harden_positions(n.model.space, n.cost, middle, even, n.relative(u4)) == u4));
  // Half of the cost has to go; the loss leans on the first adaptive layer's weights and activations.
  std::vector<double> leaning = even;
  leaning[2] = leaning[3] = 100;
  const BitConfig cheaper = harden_positions(n.model.space, n.cost, std::vector<double>(2 * layers, 2.0), leaning, 0.55);
  CHECK(cheaper[1].weight == 8);
  CHECK(cheaper[1].activation == 8);
  CHECK_THROWS_WITH(harden_positions(n.model.space, n.cost, middle, even, 0.01), doctest::Contains("at least"));
}

TEST_CASE("policy/random_bits: the mean cost is the wanted one, and every layer varies") {
  const AdditiveNetwork n;
  for (const double wanted : {0.12, 0.3, 0.8}) {
    const std::vector<BitConfig> configs = random_bits(n.model.space, n.cost, wanted, 4000, 3);
    double mean = 0;
    for (const BitConfig& config : configs) mean += n.relative(config) / static_cast<double>(configs.size());
    INFO("wanted ", wanted, ", got ", mean);
    CHECK(mean == doctest::Approx(wanted).epsilon(0.02));
    for (std::size_t l = 0; l < n.model.space.layers.size(); ++l) {
      const auto other = [&](const BitConfig& c) { return c[l].weight != configs[0][l].weight; };
      CHECK(std::any_of(configs.begin(), configs.end(), other) == !n.model.space.layers[l].fixed);
    }
  }
  CHECK((random_bits(n.model.space, n.cost, 0.3, 5, 3)[4] == random_bits(n.model.space, n.cost, 0.3, 5, 3)[4]));
}
