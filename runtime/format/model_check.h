#pragma once

#include <string>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// Throws Error(kData), naming layer or anchor, unless every part of a model fits its network: sizes, ranges, finite
/// positive steps, valid configurations.  Both reader and writer call it, so what can be written can be read.
void check_model(const ModelData& model, const std::string& where);

}  // namespace bitpilot
