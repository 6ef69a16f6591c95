#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "env/outcomes.h"
#include "policy/equal_cost.h"
#include "policy/policy_sweep.h"

namespace bitpilot {

/// One evaluation set: seen families, held-out families, clean pictures.
struct ReportSet {
  std::string name;
  const OutcomeTable* table = nullptr;
  std::vector<StaticRival> rivals;  ///< no anchors of the model; joined to them in the second hull
};

struct ReportOptions {
  int budgets = 13;      ///< points of the sweep
  int resamples = 1000;  ///< of the bootstrap
  std::uint64_t seed = 0;
};

/// The evidence for a policy, every figure from the runtime's own decision rules with the policy's cost billed:
/// accuracy against cost over lambda, beside the static hull, the model's own threshold cascade (pair chosen on
/// validation, threshold at equal cost) and the best single anchor, with paired bootstrap intervals; the same
/// configurations drawn at random; ablations and shuffle tests at equal cost, with their gain over the hull and how much of the whole
/// policy's gain each part brings; shares of configurations; how well the quality estimate ranks severities; by how much the mean cost
/// differs from what the model's budget table promises, beside what the number of pictures leaves open.  The sweep's points are budgets,
/// evenly spaced in logarithm over what the table offers, met as `eval --budget` meets them.  The model needs its prices (set_prices).
nlohmann::json policy_report(const ModelData& model, const OutcomeTable& validation, const std::vector<ReportSet>& sets,
                             const ReportOptions& options = {});

}  // namespace bitpilot
