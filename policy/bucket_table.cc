#include "policy/bucket_table.h"

#include <algorithm>

#include "env/reward.h"
#include "policy/quality_estimator.h"
#include "runtime/look_confidence.h"

namespace bitpilot {
namespace {

float top_of(const OutcomeTable& table, const std::vector<float>& temperatures, std::size_t picture, int anchor) {
  const auto at = static_cast<std::size_t>(anchor);
  return look_confidence(table.scores_of(picture, at), temperatures[at]).top;
}

/// The best rule for some of the pictures.
Cascade best_rule(const OutcomeTable& table, const std::vector<float>& temperatures, const AnchorCosts& costs, const Rows& losses,
                  const std::vector<std::size_t>& pictures, double lambda) {
  const auto loss = [&](std::size_t i, std::size_t k) { return static_cast<double>(losses.row(i)[k]); };
  Cascade best;
  double best_reward = -1e300;
  for (std::size_t first = 0; first < table.anchors; ++first) {
    std::vector<float> top(table.size(), 0);
    for (const std::size_t i : pictures) top[i] = top_of(table, temperatures, i, static_cast<int>(first));
    std::vector<std::size_t> order = pictures;  // least sure first
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return top[a] < top[b]; });
    double alone = 0;
    for (const std::size_t i : order) alone -= loss(i, first) + lambda * costs.first[first];
    if (alone > best_reward) {
      best_reward = alone;
      best = {static_cast<int>(first), -1, 0, 0, 0};
    }
    for (std::size_t second = 0; second < table.anchors; ++second) {
      if (costs.first[second] <= costs.first[first]) continue;
      double reward = alone;
      for (std::size_t n = 0; n < order.size(); ++n) {
        reward += loss(order[n], first) - loss(order[n], second) - lambda * costs.second[second];
        const bool between = n + 1 < order.size() && top[order[n + 1]] > top[order[n]];
        if (reward <= best_reward || !(between || n + 1 == order.size())) continue;
        best_reward = reward;
        best = {static_cast<int>(first), static_cast<int>(second), between ? top[order[n + 1]] : 2.0, 0, 0};
      }
    }
  }
  return best;
}

std::size_t bucket_of(const BucketTable& rules, float quality) {
  return static_cast<std::size_t>(std::upper_bound(rules.edges.begin(), rules.edges.end(), quality) - rules.edges.begin());
}

}  // namespace

BucketTable fit_bucket_table(const OutcomeTable& table, const std::vector<float>& temperatures, const AnchorCosts& costs,
                             const std::vector<float>& quality, int buckets, double lambda) {
  BucketTable result;
  std::vector<float> sorted = quality;
  std::sort(sorted.begin(), sorted.end());
  for (int b = 1; b < buckets; ++b) {
    const float edge = sorted[sorted.size() * static_cast<std::size_t>(b) / static_cast<std::size_t>(buckets)];
    if (edge > sorted.front() && (result.edges.empty() || edge > result.edges.back())) result.edges.push_back(edge);
  }
  const Rows losses = anchor_losses(table, temperatures);
  std::vector<std::vector<std::size_t>> members(result.edges.size() + 1);
  for (std::size_t i = 0; i < table.size(); ++i) members[bucket_of(result, quality[i])].push_back(i);
  for (const auto& pictures : members) result.rules.push_back(best_rule(table, temperatures, costs, losses, pictures, lambda));
  return result;
}

std::vector<PolicyChoice> bucket_choices(const BucketTable& rules, const OutcomeTable& table, const std::vector<float>& temperatures,
                                         const std::vector<float>& quality) {
  std::vector<PolicyChoice> choices;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Cascade& rule = rules.rules[bucket_of(rules, quality[i])];
    const bool again = rule.second >= 0 && top_of(table, temperatures, i, rule.first) < rule.threshold;
    choices.push_back({rule.first, again ? rule.second : -1, false});
  }
  return choices;
}

std::vector<PolicyChoice> oracle_choices(const OutcomeTable& table, const std::vector<float>& temperatures, const AnchorCosts& costs,
                                         double lambda) {
  const Rows losses = anchor_losses(table, temperatures);
  std::vector<PolicyChoice> choices;
  for (std::size_t i = 0; i < table.size(); ++i) {
    std::size_t best = 0;  // one look always suffices to a chooser that knows what every look would say
    const auto reward = [&](std::size_t k) { return episode_return(losses.row(i)[k], lambda, costs.first[k]); };
    for (std::size_t k = 1; k < table.anchors; ++k) best = reward(k) > reward(best) ? k : best;
    choices.push_back({static_cast<int>(best), -1, false});
  }
  return choices;
}

}  // namespace bitpilot
