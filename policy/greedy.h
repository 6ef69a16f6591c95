#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "data/batch_loader.h"
#include "runtime/core/cost.h"
#include "runtime/engine/engine.h"

namespace bitpilot {

/// A configuration judged on a fixed set of pictures.
struct SearchPoint {
  BitConfig config;
  double relative = 0;  ///< cost over uniform 8-bit
  double loss = 0;      ///< mean clipped cross-entropy
  double accuracy = 0;  ///< 0..1
};

/// Fills loss and accuracy of a configuration.
using ConfigJudge = std::function<SearchPoint(const BitConfig&)>;

/// Runs configurations on `samples` with the integer engine, on `threads` threads; answers repeated questions from
/// memory.
ConfigJudge engine_judge(std::shared_ptr<const Model> model, std::shared_ptr<const std::vector<Sample>> samples,
                         int threads = 2);

struct GreedyOptions {
  double budget = 0.1;       ///< relative cost to reach
  int start_bits = 5;        ///< all layers start at the nearest candidate from above (the highest if none)
  double loss_weight = 1.5;  ///< of the normalised loss against the normalised cost
  int most_iterations = 0;   ///< of moves in both directions; 0 = 8 per layer.  Then only downward moves
  BitConfig least;           ///< no layer's bits go below these; empty: the space's candidates alone bind
  std::function<void(const SearchPoint&)> on_move;
};

struct GreedyResult {
  SearchPoint best;                 ///< the least loss among judged configurations within the budget
  std::vector<SearchPoint> pareto;  ///< of everything judged: no other is cheaper and better; ascending cost
  int evaluations = 0;
};

/// Inference-only bidirectional greedy search: from a uniform start, every move of one layer one rung up or down is
/// tried, and the one with the least  loss_weight * norm(loss) + norm(cost)  is made (min-max normalised over the
/// moves), weights first, then activations, never undoing the previous move.  Source: RFQuant, arXiv:2401.01543, with
/// true min-max normalisation and the loss in place of the error. Throws Error(kUsage) if no configuration fits the
/// budget.
GreedyResult greedy_search(const BitSpace& space, const CostTable& cost, const ConfigJudge& judge,
                           const GreedyOptions& options);

}  // namespace bitpilot
