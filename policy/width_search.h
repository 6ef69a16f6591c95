#pragma once

#include <functional>
#include <vector>

#include "policy/budget_configs.h"
#include "policy/config_judge.h"

namespace bitpilot {

/// Active blocks of every layer.
using WidthPattern = std::vector<int>;

/// The widths that a model's anchors were trained at, each once: whole layers first, then as the anchors have them.
std::vector<WidthPattern> width_patterns(const BitSpace& space, const std::vector<BitConfig>& anchors);

/// The same and, behind them, mixes of them: every width group (Network::width_groups) takes its blocks from one of `patterns`.  All mixes if
/// they are kMostWidths at most; else those that change from one pattern to another at one place of the network.  No path was trained at a mix.
constexpr std::size_t kMostWidths = 64;
std::vector<WidthPattern> mixed_widths(const Network& network, const std::vector<WidthPattern>& patterns);

/// What became of one width.
struct WidthTrial {
  WidthPattern blocks;
  double least = 0;         ///< relative cost of its cheapest configuration
  bool affordable = false;  ///< the budget allows that one
  bool searched = false;    ///< its bits were searched
  SearchPoint highest;      ///< its highest bits, judged if affordable
};

struct WidthSearchResult {
  SearchPoint best;
  std::size_t winner = 0;          ///< its width, among `trials`
  std::vector<WidthTrial> trials;  ///< one a pattern, in their order
};

/// Searches bits inside one width, given by its index: a configuration within the budget, judged.
using BitSearch = std::function<SearchPoint(const DrawSpace&, std::size_t)>;

/// The configuration of least loss over all widths.  The affordable ones are searched in the order of what their highest bits lose; one
/// whose highest bits lose as much as what was found already is left out, since fewer bits seldom lose less.
/// Throws Error(kUsage), before any work, if no width holds a configuration within the budget.
WidthSearchResult search_widths(const BitSpace& space, const CostTable& cost, const std::vector<WidthPattern>& patterns, double budget,
                                const ConfigJudge& judge, const BitSearch& search);

/// Relative cost of the cheapest configuration of all widths.
double least_relative(const BitSpace& space, const CostTable& cost, const std::vector<WidthPattern>& patterns);

}  // namespace bitpilot
