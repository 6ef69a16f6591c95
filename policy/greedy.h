#pragma once

#include <functional>
#include <vector>

#include "policy/budget_configs.h"
#include "policy/config_judge.h"

namespace bitpilot {

struct GreedyOptions {
  double budget = 0.1;       ///< relative cost to reach
  int start_bits = 5;        ///< all layers start at the nearest candidate from above (the highest if none)
  double loss_weight = 1.5;  ///< of the normalised loss against the normalised cost
  int most_iterations = 0;   ///< of moves in both directions; 0 = 8 per layer.  Then only downward moves
  std::function<void(const SearchPoint&)> on_move;
};

struct GreedyResult {
  SearchPoint best;                 ///< the least loss among judged configurations within the budget
  std::vector<SearchPoint> pareto;  ///< of everything judged: no other is cheaper and better; ascending cost
  int evaluations = 0;
};

/// Inference-only bidirectional greedy search: from a uniform start, every move of one layer one rung up or down is
/// tried, and the one with the least  loss_weight * norm(loss) + norm(cost)  is made (min-max normalised over the
/// moves), weights first, then activations.  The published loop can run in circles: here a phase only goes down once its
/// best move leads back to where it has been.  In the end single rungs are exchanged within the budget (one up, another
/// down) as long as that lowers the loss.  Source: RFQuant, arXiv:2401.01543, with true min-max normalisation and the
/// loss in place of the error.  Throws Error(kUsage), before any work, if no configuration fits the budget.
GreedyResult greedy_search(const DrawSpace& from, const ConfigJudge& judge, const GreedyOptions& options);

}  // namespace bitpilot
