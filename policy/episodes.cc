#include "policy/episodes.h"

#include <cmath>
#include <numeric>

namespace bitpilot {
namespace {

int largest(std::span<const float> logits, const std::vector<std::uint8_t>& allowed) {
  int best = -1;
  for (int a = 0; a < static_cast<int>(allowed.size()); ++a) {
    const auto at = static_cast<std::size_t>(a);
    if (allowed[at] && (best < 0 || logits[at] > logits[static_cast<std::size_t>(best)])) best = a;
  }
  return best;
}

int drawn(std::span<const float> logits, const std::vector<std::uint8_t>& allowed, Random& random) {
  const int top = largest(logits, allowed);
  std::vector<double> weight(allowed.size(), 0);
  for (std::size_t a = 0; a < allowed.size(); ++a) {
    if (allowed[a]) weight[a] = std::exp(static_cast<double>(logits[a]) - logits[static_cast<std::size_t>(top)]);
  }
  double left = random.uniform() * std::accumulate(weight.begin(), weight.end(), 0.0);
  int last = top;
  for (std::size_t a = 0; a < weight.size(); ++a) {
    if (!allowed[a]) continue;
    last = static_cast<int>(a);
    left -= weight[a];
    if (left < 0) break;
  }
  return last;
}

}  // namespace

double Episode::total() const {
  double sum = 0;
  for (const Act& act : acts) sum += act.reward;
  return sum;
}

std::vector<int> Episode::taken() const {
  std::vector<int> actions;
  for (const Act& act : acts) actions.push_back(act.action);
  return actions;
}

std::vector<Episode> run_episodes(EpisodeProcess& process, const RealMlp& policy, const std::vector<std::size_t>& pictures,
                                  const std::vector<double>& lambdas, Random* random) {
  std::vector<Episode> episodes;
  std::vector<std::size_t> open;
  for (std::size_t e = 0; e < pictures.size(); ++e) {
    episodes.push_back({pictures[e], lambdas[e], {}});
    open.push_back(e);
  }
  while (!open.empty()) {
    Rows states{process.state_size(), {}};
    for (const std::size_t e : open) {
      Episode& episode = episodes[e];
      episode.acts.push_back({process.turn(episode.picture, episode.lambda, episode.taken()), 0, 0});
      const std::vector<float>& state = episode.acts.back().turn.state;
      states.values.insert(states.values.end(), state.begin(), state.end());
    }
    const Rows logits = evaluate_network(policy, states);
    std::vector<std::size_t> still;
    for (std::size_t i = 0; i < open.size(); ++i) {
      Episode& episode = episodes[open[i]];
      Episode::Act& act = episode.acts.back();
      act.action = random ? drawn(logits.row(i), act.turn.allowed, *random) : largest(logits.row(i), act.turn.allowed);
      const EpisodeProcess::Step step = process.execute(episode.picture, episode.lambda, episode.taken());
      act.reward = step.reward;
      if (!step.done) still.push_back(open[i]);
    }
    open = std::move(still);
  }
  return episodes;
}

EpisodeStarts draw_starts(const EpisodeProcess& process, const EpisodeTraining& training, int count, Random& random) {
  EpisodeStarts starts;
  for (int i = 0; i < count; ++i) {
    starts.pictures.push_back(random.below(process.pictures()));
    starts.lambdas.push_back(std::exp(random.uniform(std::log(training.lambda_low), std::log(training.lambda_high))));
  }
  return starts;
}

}  // namespace bitpilot
