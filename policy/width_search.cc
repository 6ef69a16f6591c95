#include "policy/width_search.h"

#include <algorithm>

#include "runtime/core/network.h"

namespace bitpilot {
namespace {

WidthPattern pattern_of(const BitConfig& config) {
  WidthPattern pattern;
  for (const LayerBits& layer : config) pattern.push_back(layer.active_blocks);
  return pattern;
}

}  // namespace

std::vector<WidthPattern> width_patterns(const BitSpace& space, const std::vector<BitConfig>& anchors) {
  std::vector<WidthPattern> patterns{pattern_of(uniform_config(space, 8, 8))};
  for (const BitConfig& anchor : anchors) {
    WidthPattern pattern = pattern_of(anchor);
    if (std::find(patterns.begin(), patterns.end(), pattern) == patterns.end()) patterns.push_back(std::move(pattern));
  }
  return patterns;
}

double least_relative(const BitSpace& space, const CostTable& cost, const std::vector<WidthPattern>& patterns) {
  double least = 1e300;
  for (const WidthPattern& blocks : patterns) {
    const DrawSpace from{space, cost, {}, blocks};
    least = std::min(least, from.relative(cheapest_config(from)));
  }
  return least;
}

WidthSearchResult search_widths(const BitSpace& space, const CostTable& cost, const std::vector<WidthPattern>& patterns, double budget,
                                const ConfigJudge& judge, const BitSearch& search) {
  WidthSearchResult result;
  std::vector<DrawSpace> spaces;
  std::vector<std::size_t> order;
  std::size_t nearest = 0;  // names the least possible if nothing is affordable
  for (const WidthPattern& blocks : patterns) {
    const DrawSpace& from = spaces.emplace_back(DrawSpace{space, cost, {}, blocks});
    WidthTrial& trial = result.trials.emplace_back();
    trial.blocks = blocks;
    trial.least = from.relative(cheapest_config(from));
    trial.affordable = trial.least <= budget;
    if (trial.affordable) order.push_back(spaces.size() - 1);
    if (trial.least < result.trials[nearest].least) nearest = spaces.size() - 1;
  }
  check_budget(spaces[nearest], budget);
  for (const std::size_t i : order) {
    WidthTrial& trial = result.trials[i];
    const BitConfig highest = highest_config(spaces[i]);
    trial.highest = judge(highest);
    trial.highest.config = highest;
    trial.highest.relative = spaces[i].relative(highest);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return result.trials[a].highest.loss < result.trials[b].highest.loss; });
  bool any = false;
  for (const std::size_t i : order) {
    WidthTrial& trial = result.trials[i];
    if (any && trial.highest.loss >= result.best.loss) continue;
    trial.searched = true;
    SearchPoint found = search(spaces[i], i);
    if (trial.highest.relative <= budget && trial.highest.loss < found.loss) found = trial.highest;
    if (any && found.loss >= result.best.loss) continue;
    any = true;
    result.best = std::move(found);
    result.winner = i;
  }
  return result;
}

}  // namespace bitpilot
