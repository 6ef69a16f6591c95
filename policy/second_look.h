#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// Costs whose ratio is not above this count as equal.  What is counted (cost_unit "bops") is exact; of measured time ("ms") a twentieth
/// may be noise.
float cost_margin(const std::string& cost_unit);

/// Which second looks are worth offering, [first anchor major][second]: those that have more bits or more filters in some layer
/// than the first one and that a whole pass of costs more, beyond cost_margin(): a look that takes no longer than the first could have
/// come first.
/// first_cost: [anchors], of a whole pass.
std::vector<std::uint8_t> second_looks(const ModelData& model, const std::vector<float>& first_cost,
                                       const std::string& cost_unit);

}  // namespace bitpilot
