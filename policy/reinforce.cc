#include "policy/reinforce.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "policy/trainable_mlp.h"
#include "policy/turn_batch.h"

namespace bitpilot {
namespace {

constexpr double kLeastProbability = 1e-12;

double normal_density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }

/// d cdf(y) / d mean.
double cdf_slope(const BitDistribution& d, double y) {
  if (y <= 0 || y >= 1) return 0;
  if (d.family == BitFamily::kLogistic) {
    const double f = d.cdf(y);
    return -f * (1 - f) / d.spread;
  }
  const double a = -d.mean / d.spread, b = (1 - d.mean) / d.spread, x = (y - d.mean) / d.spread;
  const double mass = normal_cdf(b) - normal_cdf(a);
  const double numerator = normal_density(a) - normal_density(x), denominator = normal_density(a) - normal_density(b);
  return (numerator - d.cdf(y) * denominator) / (d.spread * mass);
}

std::vector<BitDistribution> logistics(const float* means, int layers, double spread) {
  std::vector<BitDistribution> result;
  for (int l = 0; l < layers; ++l) result.push_back({BitFamily::kLogistic, means[l], spread});
  return result;
}

}  // namespace

std::vector<int> sample_rungs(const std::vector<BitDistribution>& layers, int rungs, Random& random) {
  std::vector<int> action;
  for (const BitDistribution& layer : layers) {
    const std::vector<double> probability = layer.rung_probabilities(rungs);
    double left = random.uniform();
    int rung = 0;
    while (rung + 1 < rungs && left >= probability[static_cast<std::size_t>(rung)])
      left -= probability[static_cast<std::size_t>(rung++)];
    action.push_back(rung);
  }
  return action;
}

std::vector<int> median_rungs(const std::vector<BitDistribution>& layers, int rungs) {
  std::vector<int> action;
  for (const BitDistribution& layer : layers)
    action.push_back(nearest_rung(ladder_position(layer.median(), rungs), rungs));
  return action;
}

double score_of_mean(const BitDistribution& d, int rung, int rungs) {
  const double low = static_cast<double>(rung) / rungs, high = static_cast<double>(rung + 1) / rungs;
  const double probability = d.rung_probabilities(rungs)[static_cast<std::size_t>(rung)];
  return probability < kLeastProbability ? 0.0 : (cdf_slope(d, high) - cdf_slope(d, low)) / probability;
}

std::vector<double> reinforce_gradient(const std::vector<BitDistribution>& layers, int rungs, std::size_t picture,
                                       const ActionReward& reward, Random& random) {
  const std::vector<int> action = sample_rungs(layers, rungs, random);
  const double advantage = reward(picture, action) - reward(picture, median_rungs(layers, rungs));
  std::vector<double> gradient;
  for (std::size_t l = 0; l < layers.size(); ++l)
    gradient.push_back(advantage * score_of_mean(layers[l], action[l], rungs));
  return gradient;
}

RealMlp fit_reinforce(const Rows& states, int layers, int rungs, const ActionReward& reward,
                      const ReinforceOptions& options) {
  Random begin(options.seed, "reinforce.start");
  const TrainableMlp network({states.columns, options.hidden, layers}, begin, /*zero_end=*/true);  // medians in the middle
  torch::optim::Adam optimizer(network.parameters, torch::optim::AdamOptions(options.learning_rate));
  const torch::Tensor all = as_tensor(states);
  for (int step = 0; step < options.steps; ++step) {
    Random random(options.seed, "reinforce.step", static_cast<std::uint64_t>(step));
    std::vector<std::int64_t> rows;
    for (int i = 0; i < options.batch; ++i) rows.push_back(static_cast<std::int64_t>(random.below(states.count())));
    const torch::Tensor x = all.index_select(0, torch::tensor(rows, torch::kInt64));
    const torch::Tensor means = network.forward(x);
    const double done = static_cast<double>(step) / options.steps;
    const double spread = options.spread_high * std::pow(options.spread_low / options.spread_high, done);
    torch::Tensor uphill = torch::empty({options.batch, layers});
    for (int i = 0; i < options.batch; ++i) {
      const auto distributions = logistics(means.data_ptr<float>() + i * layers, layers, spread);
      const std::vector<double> gradient =
          reinforce_gradient(distributions, rungs, static_cast<std::size_t>(rows[static_cast<std::size_t>(i)]), reward, random);
      for (int l = 0; l < layers; ++l)
        uphill.data_ptr<float>()[i * layers + l] = static_cast<float>(-gradient[static_cast<std::size_t>(l)] / options.batch);
    }
    set_cosine_rate(optimizer, options.learning_rate, done);
    optimizer.zero_grad();
    means.backward(uphill);
    optimizer.step();
  }
  return network.plain();
}

std::vector<std::vector<int>> reinforce_actions(const RealMlp& network, const Rows& states, int rungs) {
  const Rows means = evaluate_network(network, states);
  std::vector<std::vector<int>> actions;
  for (std::size_t i = 0; i < means.count(); ++i)
    actions.push_back(median_rungs(logistics(means.row(i).data(), means.columns, /*spread=*/1.0), rungs));
  return actions;
}

RealMlp fit_reinforce(EpisodeProcess& process, const EpisodeReinforceOptions& options) {
  Random begin(options.seed, "reinforce.start");
  const TrainableMlp policy({process.state_size(), options.hidden, process.actions()}, begin, /*zero_end=*/true);
  torch::optim::Adam optimizer(policy.parameters, torch::optim::AdamOptions(options.learning_rate));
  const std::int64_t before = process.evaluations();
  for (std::uint64_t update = 0; process.evaluations() - before < options.evaluations; ++update) {
    Random random(options.seed, "reinforce.update", update);
    const EpisodeStarts starts = draw_starts(process, options, options.episodes, random);
    const RealMlp now = policy.plain();
    const std::vector<Episode> drawn = run_episodes(process, now, starts.pictures, starts.lambdas, &random),
                               best = run_episodes(process, now, starts.pictures, starts.lambdas, nullptr);
    std::vector<float> advantages;  // of every turn
    for (std::size_t e = 0; e < drawn.size(); ++e)
      advantages.insert(advantages.end(), drawn[e].acts.size(), static_cast<float>(drawn[e].total() - best[e].total()));
    const torch::Tensor advantage = torch::tensor(advantages);
    // Scaled, not shifted: the baseline is the other episode, and the entropy weighs the same at every price.
    const torch::Tensor scaled = advantage / (advantage.square().mean().sqrt() + 1e-8);
    const double spent =
        std::min(1.0, static_cast<double>(process.evaluations() - before) / static_cast<double>(options.evaluations));
    const double entropy = options.early_entropy * std::pow(options.entropy / options.early_entropy, spent);
    const TurnBatch turns = turn_batch(drawn);
    const torch::Tensor all = masked_log_probabilities(policy.forward(turns.states), turns.allowed);
    const torch::Tensor loss =
        -(scaled * all.gather(1, turns.actions.unsqueeze(1)).squeeze(1)).mean() - entropy * mean_entropy(all);
    set_cosine_rate(optimizer, options.learning_rate, spent);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    if (options.on_update) options.on_update(policy.plain(), process.evaluations() - before);
  }
  return policy.plain();
}

}  // namespace bitpilot
