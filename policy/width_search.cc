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

std::vector<WidthPattern> mixed_widths(const Network& network, const std::vector<WidthPattern>& patterns) {
  std::vector<WidthPattern> mixed = patterns;
  const std::vector<int>& groups = network.width_groups();
  std::vector<int> order;  // the groups of layers whose width a configuration may choose, as the network comes to them
  for (int l = 0; l < network.layer_count(); ++l)
    if (const int group = groups[static_cast<std::size_t>(l)]; !network.fixed(l) && std::find(order.begin(), order.end(), group) == order.end())
      order.push_back(group);
  // Which pattern each group takes.
  const auto add = [&](const std::vector<std::size_t>& chosen) {
    WidthPattern pattern = patterns.front();
    for (std::size_t l = 0; l < pattern.size(); ++l) {
      const auto at = std::find(order.begin(), order.end(), groups[l]);
      if (!network.fixed(static_cast<int>(l))) pattern[l] = patterns[chosen[static_cast<std::size_t>(at - order.begin())]][l];
    }
    if (std::find(mixed.begin(), mixed.end(), pattern) == mixed.end()) mixed.push_back(std::move(pattern));
  };
  double count = 1;
  for (std::size_t i = 0; i < order.size(); ++i) count *= static_cast<double>(patterns.size());
  std::vector<std::size_t> chosen(order.size(), 0);
  if (count <= static_cast<double>(kMostWidths)) {
    for (bool more = true; more;) {
      add(chosen);
      std::size_t i = 0;
      for (; i < chosen.size() && ++chosen[i] == patterns.size(); ++i) chosen[i] = 0;
      more = i < chosen.size();
    }
    return mixed;
  }
  for (std::size_t from = 0; from < patterns.size(); ++from)
    for (std::size_t to = 0; to < patterns.size(); ++to)
      for (std::size_t at = 1; at < order.size() && mixed.size() < kMostWidths; ++at) {
        std::fill(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(at), from);
        std::fill(chosen.begin() + static_cast<std::ptrdiff_t>(at), chosen.end(), to);
        add(chosen);
      }
  return mixed;
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
