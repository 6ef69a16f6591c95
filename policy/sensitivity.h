#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "policy/budget_configs.h"
#include "policy/config_judge.h"
#include "runtime/core/network.h"

namespace bitpilot {

/// What lowering one layer costs, measured: every other layer of the action space at its highest bits, all at the width of the space that was measured.
struct LayerSensitivity {
  int layer = 0;
  std::vector<SearchPoint> only;  ///< this layer at each (weight, activation) pair of its candidates, weights slowest, ascending
  SearchPoint lowest;             ///< this layer alone at its lowest bits (the first of `only`)
  SearchPoint all_but;            ///< every layer at its lowest bits but this one, which stays at its highest
};

struct Sensitivity {
  SearchPoint highest, lowest;           ///< all layers at their highest / lowest bits
  std::vector<LayerSensitivity> layers;  ///< of the action space, in network order
};

/// One judgement a layer and pair of candidates, and one more a layer: (candidates² + 1) x layers + 2.
Sensitivity measure_sensitivity(const DrawSpace& from, const ConfigJudge& judge);

/// Per layer: name, candidates, loss and accuracy when only it, and all but it, are lowered; what it loses and what sparing it wins back.
nlohmann::json sensitivity_json(const Sensitivity& sensitivity, const Network& network, const BitSpace& space);

}  // namespace bitpilot
