#include "policy/policy_sweep.h"

#include <cmath>

#include "env/reward.h"

namespace bitpilot {

PolicySweep::PolicySweep(const ModelData& model, const OutcomeTable& table, double policy_cost,
                         const Permutations& permutations)
    : head_(model),
      parameters_(head_.parameters()),
      table_(&table),
      anchors_(table.anchors),
      safe_anchor_(model.safe_anchor),
      policy_cost_(policy_cost) {
  const std::size_t n = table.size();
  PolicyScratch scratch;
  observations_.reserve(n);
  signal_.resize(n * anchors_);
  confidence_.resize(n * anchors_);
  residual_.resize(n * anchors_ * anchors_);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t seen = permutations.observation.empty() ? i : permutations.observation[i];
    const std::size_t scored = permutations.scores.empty() ? i : permutations.scores[i];
    observations_.push_back(head_.observe(table.statistics_of(seen), table.stem_of(seen), scratch));
    for (std::size_t k = 0; k < anchors_; ++k) {
      const LookSummary look = head_.summarise(observations_.back(), static_cast<int>(k), table.scores_of(scored, k), scratch,
                                               {residual_.data() + (i * anchors_ + k) * anchors_, anchors_});
      signal_[i * anchors_ + k] = look.signal;
      confidence_[i * anchors_ + k] = look.confidence;
      loss_.push_back(
          static_cast<float>(task_loss(table.scores_of(i, k), model.anchors[k].temperature, table.labels[i])));
      correct_.push_back(table.correct(i, k) ? 1 : 0);
    }
  }
}

int PolicySweep::second_of(std::size_t sample, int taken, double lambda) const {
  const std::size_t at = sample * anchors_ + static_cast<std::size_t>(taken);
  return choose_second(parameters_, taken, signal_[at], {residual_.data() + at * anchors_, anchors_}, lambda);
}

std::vector<PolicyChoice> PolicySweep::choose(double lambda) const {
  std::vector<PolicyChoice> choices(size());
  std::vector<float> residual(anchors_, 0.0F);
  PolicyScratch scratch;
  for (std::size_t i = 0; i < size(); ++i) {
    if (guard_ && observations_[i].out_of_range) {
      choices[i] = {safe_anchor_, -1, true};
      continue;
    }
    if (parameters_.first_weight != 0) head_.first_residual(observations_[i], lambda, scratch, residual);
    choices[i].first = choose_first(parameters_, residual, lambda);
    choices[i].second = second_of(i, choices[i].first, lambda);
  }
  return choices;
}

double PolicySweep::cost_of(const PolicyChoice& choice) const {
  const double first = parameters_.first_cost[static_cast<std::size_t>(choice.first)];
  return policy_cost_ + first +
         (choice.second >= 0 ? parameters_.second_cost[static_cast<std::size_t>(choice.second)] : 0.0);
}

SweepPoint PolicySweep::judge(const std::vector<PolicyChoice>& choices, double lambda) const {
  SweepPoint point;
  point.lambda = lambda;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    point.relative += cost_of(choices[i]);
    point.accuracy += correct(i, choices[i].last()) ? 1 : 0;
    point.loss += loss(i, choices[i].last());
    point.escalated += choices[i].second >= 0 ? 1 : 0;
  }
  const double n = std::max<double>(1.0, static_cast<double>(choices.size()));
  point.relative /= n;
  point.accuracy /= n;
  point.loss /= n;
  point.escalated /= n;
  return point;
}

std::vector<double> log_spaced(double low, double high, int count) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i)
    values.push_back(low * std::pow(high / low, count > 1 ? static_cast<double>(i) / (count - 1) : 0.0));
  return values;
}

}  // namespace bitpilot
