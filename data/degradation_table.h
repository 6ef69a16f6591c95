#pragma once

#include <algorithm>
#include <array>
#include <string>

#include "data/degrade.h"

namespace bitpilot {

/// Parameters of one family at one severity, in the order in which degradation_parameters() names them in
/// degradation_table.cc.
using ParameterValues = std::array<double, 7>;
ParameterValues parameter_values(const std::string& family, int severity, bool small);

inline bool is_small(int width, int height) { return std::max(width, height) <= kSmallPicture; }

}  // namespace bitpilot
