#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "env/outcomes.h"
#include "runtime/core/cost.h"

namespace bitpilot {

class Simulator;

struct FracBitsOptions {
  double budget = 0.1;               ///< relative cost to meet
  std::int64_t evaluations = 32000;  ///< simulated passes, one for each picture of each batch
  int batch = 64;
  double learning_rate = 0.02;  ///< of Adam on positions in ladder steps, falls to 0 by a cosine
  double kappa = 0.1;           ///< weight of |cost / budget - 1|: above the slope of the loss over log cost, or the budget does
                                ///< not hold; far above it the penalty's flipping sign drowns the loss's gradient
  double head_start = 0.5;      ///< ladder steps above the uniform position that costs the budget
  std::uint64_t seed = 0;
  /// After every update, with the evaluations spent so far; the function hardens the positions, which takes longer than an update does.
  std::function<void(const std::function<BitConfig()>&, std::int64_t)> on_update;
};

/// Static mixed precision by fractional bits: one position between rungs for the weights and one for the activations of
/// every adaptive layer, moved by the simulator's gradient of task loss + kappa * |cost / budget - 1|, then hardened.  On a
/// frozen supernet and without the finetuning behind it: a rival of static search, not a reproduction.  Needs pictures
/// sample_at(0 .. count - 1).  Throws Error(kUsage) if no configuration is as cheap as the budget.
/// Source: Yang & Jin, FracBits, arXiv:2007.02017.
BitConfig fit_fracbits(const ModelData& model, const CostTable& cost, std::size_t count, const SampleAt& sample_at,
                       Simulator& simulator, const FracBitsOptions& options);

/// The configuration at whole width nearest to positions [L][2] (weights, activations of every layer, in ladder steps) among
/// those that cost `budget` within 1 %, or, where there is none, of those that cost the most within it.  Nearest: least sum
/// of weight * distance^2, `weights` [L][2] being how much the loss leans on each position.  The source bisects one offset
/// of all positions instead; in a small network no offset meets the budget, and which bits give way then matters more than
/// the search.  By dynamic programming over the layers, costs told apart to 0.05 % of the budget.
/// Throws Error(kUsage) if no configuration at whole width is as cheap as the budget.
BitConfig harden_positions(const BitSpace& space, const CostTable& cost, const std::vector<double>& positions,
                           const std::vector<double>& weights, double budget);

}  // namespace bitpilot
