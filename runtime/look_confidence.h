#pragma once

#include <span>
#include <vector>

namespace bitpilot {

/// How sure a look is, in fixed float order: the same on every machine.
struct LookConfidence {
  float top = 0, second = 0;         ///< two largest class probabilities
  float entropy = 0;                 ///< nats
  int label = 0;                     ///< class of the largest
  std::vector<float> probabilities;  ///< [classes]
  std::vector<float> log_probabilities;
};
/// `memory`: of an earlier look, for this one's probabilities.
LookConfidence look_confidence(std::span<const float> scores, float temperature, LookConfidence memory = {});

/// Inputs of the stop networks besides the embedding, before standardisation: top, second, margin, entropy, top (1 -
/// top), the rest's probability; with up to 16 classes also every class's probability and its logarithm (at least -9),
/// because which two classes a look hesitates between says whether a dearer look can tell them apart.
inline constexpr int kSummaryFeatures = 6;
inline constexpr int kMostClassFeatures = 16;
constexpr int look_feature_count(int classes) {
  return kSummaryFeatures + (classes <= kMostClassFeatures ? 2 * classes : 0);
}
/// The first `count` of them (kSummaryFeatures or look_feature_count(classes)).  `memory`: of an earlier look, for these.
std::vector<float> look_features(const LookConfidence& look, int count, std::vector<float> memory = {});

}  // namespace bitpilot
