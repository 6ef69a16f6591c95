#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// `bitpilot inspect`: what a model file or a run's folder holds.  Returns the exit code.
int run_inspect(const std::vector<std::string>& args);

/// The same as JSON ("bitpilot.inspect/1"): network with MACs and weights by layer, sizes by part, anchors with their
/// relative cost, budget table, policy, provenance.
nlohmann::ordered_json describe_model(const ModelData& model);

}  // namespace bitpilot
