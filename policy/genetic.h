#pragma once

#include "policy/budget_configs.h"
#include "policy/config_judge.h"

namespace bitpilot {

/// Predicted quality (higher is better) of many configurations at once.
using ConfigPredictor = std::function<std::vector<double>(const std::vector<BitConfig>&)>;

struct GeneticOptions {
  double budget = 0.1;     ///< relative cost that no individual exceeds
  int population = 100;
  int generations = 100;   ///< the source has 500; this problem's best stops moving before 100
  double parents = 0.25;   ///< best share of a generation, which lives on and breeds
  double mutation = 0.1;   ///< of each gene, in the half of the children that mutate; the others cross two parents evenly
  int remeasured = 10;     ///< the best by prediction that are judged for real
  std::uint64_t seed = 0;
};

struct GeneticResult {
  SearchPoint best;                     ///< the least real loss among the re-measured
  std::vector<SearchPoint> remeasured;  ///< best prediction first
  std::vector<double> predicted;        ///< of each
};

/// Evolution by predicted quality within a budget.  A child that costs more is drawn again up to 50 times, then repaired: random genes are
/// lowered until it fits, or the cheapest configuration takes its place where lower bits are not cheaper.  Genes: the weight and the
/// activation bits of every adaptive layer.
/// Source: EQ-Net, arXiv:2308.07650, with BOPs in place of mean bits.
/// Throws Error(kUsage), before any work, if no configuration fits the budget.
GeneticResult genetic_search(const DrawSpace& space, const ConfigPredictor& predict, const ConfigJudge& judge, const GeneticOptions& options);

}  // namespace bitpilot
