#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "policy/config_judge.h"
#include "policy/width_search.h"
#include "runtime/format/model_data.h"

namespace bitpilot {

/// How a fixed configuration is searched: what `bitpilot search` asks for.
struct StaticSearch {
  std::string method = "greedy";  ///< one of static_search_methods()
  double budget = 0.1;            ///< relative cost, (0, 1]
  bool quiet = false;             ///< no progress on stderr; warnings stay
  bool mixed_widths = false;      ///< mixes of the anchors' widths too (mixed_widths())
};

const std::vector<std::string>& static_search_methods();

/// The configuration of least loss that a method finds within the budget, at all widths of the model's anchors, and their mixes if asked for.
///   details  what it was found among: the method's own report on the winning width, "evaluations" (different configurations judged), and
///            "widths": [{"blocks" of the adaptive layers, "least" relative cost, "searched", "highest_loss" | null}, …]
/// Throws Error(kUsage), before any judging, if the budget is below everything.
struct StaticFound {
  SearchPoint best;
  nlohmann::json details;
};
StaticFound search_static(const StaticSearch& search, const ModelData& model, const CostTable& cost, const RememberingJudge& judge);

/// Widths of a model's anchors, and their mixes if asked for.
std::vector<WidthPattern> width_patterns_of(const ModelData& model, bool mixed);

/// A judged configuration as records have it: {"bits", "relative", "accuracy", "loss"}.
nlohmann::json point_json(const SearchPoint& point, const BitSpace& space);

}  // namespace bitpilot
