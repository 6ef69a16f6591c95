#include "policy/ppo.h"

#include <algorithm>
#include <numeric>

#include "policy/trainable_mlp.h"
#include "policy/turn_batch.h"

namespace bitpilot {
namespace {

constexpr double kLargestGradient = 0.5;

/// Advantages and returns of all turns, in the order of turn_batch.
struct Targets {
  torch::Tensor advantages, returns;
};

Targets targets_of(const std::vector<Episode>& episodes, const torch::Tensor& values, double gae) {
  std::vector<float> advantages, returns;
  const float* value = values.data_ptr<float>();
  for (const Episode& episode : episodes) {
    std::vector<double> rewards, said;
    for (const Episode::Act& act : episode.acts) {
      rewards.push_back(act.reward);
      said.push_back(*value++);
    }
    const std::vector<double> estimates = generalised_advantages(rewards, said, gae);
    for (std::size_t t = 0; t < estimates.size(); ++t) {
      advantages.push_back(static_cast<float>(estimates[t]));
      returns.push_back(static_cast<float>(estimates[t] + said[t]));
    }
  }
  return {torch::tensor(advantages), torch::tensor(returns)};
}

/// The clipped objective of a minibatch, its entropy and the error of its values, as one loss.
torch::Tensor loss_of(const TrainableMlp& policy, const TrainableMlp& value, const TurnBatch& batch, const torch::Tensor& old_log,
                      const Targets& targets, const PpoOptions& options) {
  const torch::Tensor all = masked_log_probabilities(policy.forward(batch.states), batch.allowed);
  const torch::Tensor ratio = (all.gather(1, batch.actions.unsqueeze(1)).squeeze(1) - old_log).exp();
  const torch::Tensor advantage = targets.advantages / (targets.advantages.std() + 1e-8);
  const torch::Tensor gain = torch::minimum(ratio * advantage, ratio.clamp(1 - options.clip, 1 + options.clip) * advantage);
  const torch::Tensor error = (value.forward(batch.states).squeeze(1) - targets.returns).square();
  return options.value_weight * error.mean() - gain.mean() - options.entropy * mean_entropy(all);
}

}  // namespace

std::vector<double> generalised_advantages(const std::vector<double>& rewards, const std::vector<double>& values, double gae) {
  std::vector<double> result(rewards.size());
  double behind = 0;
  for (std::size_t t = rewards.size(); t-- > 0;) {
    const double next = t + 1 < values.size() ? values[t + 1] : 0.0;
    behind = rewards[t] + next - values[t] + gae * behind;
    result[t] = behind;
  }
  return result;
}

RealMlp fit_ppo(EpisodeProcess& process, const PpoOptions& options) {
  Random begin(options.seed, "ppo.start");
  const TrainableMlp policy({process.state_size(), options.hidden, process.actions()}, begin, /*zero_end=*/true);
  const TrainableMlp value({process.state_size(), options.hidden, 1}, begin, /*zero_end=*/true);
  std::vector<torch::Tensor> parameters = policy.parameters;
  parameters.insert(parameters.end(), value.parameters.begin(), value.parameters.end());
  torch::optim::Adam optimizer(parameters, torch::optim::AdamOptions(options.learning_rate));
  const std::int64_t before = process.evaluations();
  for (std::uint64_t update = 0; process.evaluations() - before < options.evaluations; ++update) {
    Random random(options.seed, "ppo.update", update);
    const EpisodeStarts starts = draw_starts(process, options, options.episodes, random);
    const std::vector<Episode> episodes = run_episodes(process, policy.plain(), starts.pictures, starts.lambdas, &random);
    const TurnBatch turns = turn_batch(episodes);
    torch::Tensor old_log;
    Targets targets;
    {
      const torch::NoGradGuard no_grad;
      const torch::Tensor all = masked_log_probabilities(policy.forward(turns.states), turns.allowed);
      old_log = all.gather(1, turns.actions.unsqueeze(1)).squeeze(1);
      targets = targets_of(episodes, value.forward(turns.states).contiguous(), options.gae);
    }
    const double spent = static_cast<double>(process.evaluations() - before) / static_cast<double>(options.evaluations);
    set_cosine_rate(optimizer, options.learning_rate, std::min(1.0, spent));
    std::vector<std::int64_t> order(static_cast<std::size_t>(turns.actions.numel()));
    std::iota(order.begin(), order.end(), 0);
    for (int epoch = 0; epoch < options.epochs; ++epoch) {
      for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
      for (std::size_t from = 0; from < order.size(); from += static_cast<std::size_t>(options.minibatch)) {
        const auto count = static_cast<std::int64_t>(std::min(order.size() - from, static_cast<std::size_t>(options.minibatch)));
        if (count < 2) continue;  // no deviation to scale by
        const torch::Tensor rows = torch::from_blob(order.data() + from, {count}, torch::kInt64);
        const Targets part{targets.advantages.index_select(0, rows), targets.returns.index_select(0, rows)};
        optimizer.zero_grad();
        loss_of(policy, value, turns.rows(rows), old_log.index_select(0, rows), part, options).backward();
        torch::nn::utils::clip_grad_norm_(parameters, kLargestGradient);
        optimizer.step();
      }
    }
    if (options.on_update) options.on_update(policy.plain(), process.evaluations() - before);
  }
  return policy.plain();
}

}  // namespace bitpilot
