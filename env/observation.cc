#include "env/observation.h"

#include <algorithm>

#include "runtime/fixed_math.h"

namespace bitpilot {

SeenLook summarise_look(int anchor, int anchors, std::vector<float> scores, float temperature) {
  SeenLook seen;
  seen.anchor = anchor;
  seen.position = anchors > 1 ? static_cast<double>(anchor) / (anchors - 1) : 0.0;
  std::vector<float> probabilities;
  seen.entropy = fixed_math::softmax(scores, temperature, probabilities);
  std::partial_sort(probabilities.begin(),
                    probabilities.begin() + std::min<std::ptrdiff_t>(2, std::ssize(probabilities)), probabilities.end(),
                    std::greater<>());
  seen.top = probabilities[0];
  seen.second = probabilities.size() > 1 ? probabilities[1] : 0.0F;
  seen.margin = seen.top - seen.second;
  seen.scores = std::move(scores);
  return seen;
}

}  // namespace bitpilot
