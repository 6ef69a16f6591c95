#pragma once

#include <string>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// What stands in __metadata__.bitpilot: everything but the arrays, which are tensors.  The same model gives the same
/// text.
std::string model_to_json(const ModelData& model);
/// Fills all but the arrays.  Throws Error(kData) on an unknown version or key, a wrong type or range.
ModelData model_from_json(const std::string& text, const std::string& where);

}  // namespace bitpilot
