#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bitpilot {

/// Costs and outcomes of a model's anchors on the policy split.
struct AnchorAccount {
  std::vector<float> first_cost, second_cost;  ///< [K] relative, of a whole pass and of one from the stem's code
  std::vector<std::uint8_t> pairs;             ///< [K first][K second]: second_looks()
  std::vector<double> loss;                    ///< [K] mean task loss
};

/// For each anchor the one that dominates it, -1 where none does.  Anchor a dominates b if it can stand for b in every episode: its
/// mean loss is lower, neither of its looks costs more than b's (in time: beyond cost_margin()), and every look that may come before
/// or after b may come before or after a.  So an anchor that may be looked at after a is never dominated by a: a second opinion is
/// another action, and in counted operations only anchors of equal cost dominate each other.  What dominates is itself undominated.
/// `safe` (the anchor of fallbacks) is never dominated.
std::vector<int> dominating_anchors(const AnchorAccount& account, const std::string& cost_unit, std::size_t safe);

}  // namespace bitpilot
