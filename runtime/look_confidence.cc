#include "runtime/look_confidence.h"

#include <algorithm>
#include <utility>

#include "runtime/fixed_math.h"

namespace bitpilot {

LookConfidence look_confidence(std::span<const float> scores, float temperature, LookConfidence memory) {
  LookConfidence look;
  look.probabilities = std::move(memory.probabilities);
  look.log_probabilities = std::move(memory.log_probabilities);
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

std::vector<float> look_features(const LookConfidence& look, int count, std::vector<float> memory) {
  constexpr float kLeastLogarithm = -9.0F;
  const float margin = look.top - look.second, rest = 1.0F - (look.top + look.second);
  std::vector<float> features = std::move(memory);
  features.assign({look.top, look.second, margin, look.entropy, look.top * (1.0F - look.top), rest});
  if (count == kSummaryFeatures) return features;
  features.insert(features.end(), look.probabilities.begin(), look.probabilities.end());
  for (const float logarithm : look.log_probabilities) features.push_back(std::max(logarithm, kLeastLogarithm));
  return features;
}

}  // namespace bitpilot
