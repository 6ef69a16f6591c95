#include "runtime/look_confidence.h"

#include <algorithm>

#include "runtime/fixed_math.h"

namespace bitpilot {

LookConfidence look_confidence(std::span<const float> scores, float temperature) {
  LookConfidence look;
  look.entropy = fixed_math::softmax(scores, temperature, look.probabilities, &look.log_probabilities);
  look.top = -1;
  for (std::size_t i = 0; i < look.probabilities.size(); ++i) {
    const float p = look.probabilities[i];
    if (p > look.top) {
      look.second = std::max(look.top, 0.0F);
      look.top = p;
      look.label = static_cast<int>(i);
    } else {
      look.second = std::max(look.second, p);
    }
  }
  return look;
}

std::vector<float> look_features(const LookConfidence& look, int count) {
  constexpr float kLeastLogarithm = -9.0F;
  const float margin = look.top - look.second, rest = 1.0F - (look.top + look.second);
  std::vector<float> features{look.top, look.second, margin, look.entropy, look.top * (1.0F - look.top), rest};
  if (count == kSummaryFeatures) return features;
  features.insert(features.end(), look.probabilities.begin(), look.probabilities.end());
  for (const float logarithm : look.log_probabilities) features.push_back(std::max(logarithm, kLeastLogarithm));
  return features;
}

}  // namespace bitpilot
