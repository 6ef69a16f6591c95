#include "env/reward.h"

#include <algorithm>
#include <cmath>

namespace bitpilot {

double task_loss(std::span<const float> scores, float temperature, int label) {
  const double highest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const float score : scores) sum += std::exp((score - highest) / temperature);
  const double loss = std::log(sum) - (scores[static_cast<std::size_t>(label)] - highest) / temperature;
  return std::clamp(loss, 0.0, kClippedLoss);
}

int top_class(std::span<const float> scores) {
  return static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

}  // namespace bitpilot
