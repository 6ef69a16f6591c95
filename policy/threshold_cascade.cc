#include "policy/threshold_cascade.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/fixed_math.h"
#include "runtime/policy_head.h"

namespace bitpilot {

CascadeCurve::CascadeCurve(const OutcomeTable& table, const std::vector<float>& temperatures, const AnchorCosts& costs,
                           int first, int second)
    : first_(first),
      second_(second),
      first_cost_(costs.first[static_cast<std::size_t>(first)]),
      second_cost_(costs.second[static_cast<std::size_t>(second)]),
      order_(table.size()) {
  std::vector<float> sure(table.size()), probabilities;
  for (std::size_t i = 0; i < table.size(); ++i) {
    fixed_math::softmax(table.scores_of(i, static_cast<std::size_t>(first)),
                        temperatures[static_cast<std::size_t>(first)], probabilities);
    sure[i] = *std::max_element(probabilities.begin(), probabilities.end());
    right_first_.push_back(table.correct(i, static_cast<std::size_t>(first)));
    right_second_.push_back(table.correct(i, static_cast<std::size_t>(second)));
    base_ += right_first_.back();
  }
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) { return sure[a] < sure[b]; });
  gain_.push_back(0);
  for (const std::size_t i : order_) {
    confidence_.push_back(sure[i]);
    gain_.push_back(gain_.back() + right_second_[i] - right_first_[i]);
  }
}

std::size_t CascadeCurve::count_at(double relative) const {
  const double share = std::clamp((relative - first_cost_) / second_cost_, 0.0, 1.0);
  return static_cast<std::size_t>(std::floor(share * static_cast<double>(order_.size()) + 1e-9));
}

Cascade CascadeCurve::at_count(std::size_t count) const {
  const double n = static_cast<double>(order_.size());
  Cascade result{first_, second_, count < order_.size() ? confidence_[count] : 2.0, 0, 0};
  result.relative = first_cost_ + second_cost_ * static_cast<double>(count) / n;
  result.accuracy = (base_ + gain_[count]) / n;
  return result;
}

Cascade CascadeCurve::at_cost(double relative) const { return at_count(count_at(relative)); }

Cascade CascadeCurve::at_threshold(double threshold) const {
  const auto below = std::lower_bound(confidence_.begin(), confidence_.end(), static_cast<float>(threshold));
  return at_count(static_cast<std::size_t>(below - confidence_.begin()));
}

std::vector<std::uint8_t> CascadeCurve::correct_at(double relative) const {
  std::vector<std::uint8_t> correct = right_first_;
  for (std::size_t i = 0; i < count_at(relative); ++i) correct[order_[i]] = right_second_[order_[i]];
  return correct;
}

AnchorCosts with_confidence(AnchorCosts costs, std::size_t classes, double reference) {
  for (double& first : costs.first) first += confidence_bops(classes) / reference;
  return costs;
}

std::vector<CascadeCurve> all_cascades(const OutcomeTable& table, const std::vector<float>& temperatures,
                                       const AnchorCosts& costs) {
  std::vector<CascadeCurve> curves;
  for (std::size_t a = 0; a < table.anchors; ++a) {
    for (std::size_t b = 0; b < table.anchors; ++b) {
      if (costs.first[b] > costs.first[a])
        curves.emplace_back(table, temperatures, costs, static_cast<int>(a), static_cast<int>(b));
    }
  }
  return curves;
}

std::size_t best_cascade(const std::vector<CascadeCurve>& curves, double relative) {
  std::size_t best = 0;
  double best_accuracy = -1;
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const Cascade at = curves[c].at_cost(relative);
    if (at.relative > relative * (1 + 1e-9) || at.accuracy <= best_accuracy) continue;
    best = c;
    best_accuracy = at.accuracy;
  }
  return best;
}

}  // namespace bitpilot
