#include "policy/second_look.h"

namespace bitpilot {
namespace {

constexpr float kTimingNoise = 0.05F;  // of a pass: what repeated profiles of one machine differ by

bool adds_bits_or_filters(const BitConfig& first, const BitConfig& second) {
  for (std::size_t l = 0; l < first.size(); ++l)
    if (second[l].weight > first[l].weight || second[l].activation > first[l].activation ||
        second[l].active_blocks > first[l].active_blocks)
      return true;
  return false;
}

}  // namespace

float cost_margin(const std::string& cost_unit) { return cost_unit == "ms" ? 1 + kTimingNoise : 1; }

std::vector<std::uint8_t> second_looks(const ModelData& model, const std::vector<float>& first_cost,
                                       const std::string& cost_unit) {
  const float margin = cost_margin(cost_unit);
  const std::size_t anchors = model.anchors.size();
  std::vector<std::uint8_t> worth(anchors * anchors, 0);
  for (std::size_t a = 0; a < anchors; ++a)
    for (std::size_t b = 0; b < anchors; ++b)
      worth[a * anchors + b] = first_cost[b] > margin * first_cost[a] &&
                               adds_bits_or_filters(model.anchors[a].config, model.anchors[b].config);
  return worth;
}

}  // namespace bitpilot
