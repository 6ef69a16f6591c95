#pragma once

#include <string>
#include <vector>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// The model with the named anchors only, in their order in the file.  The policy stays if every anchor stays, otherwise it is dropped with
/// its budget table (it was learned over all of them).  A layer that is left with a single weight width below 8 stores its codes at that
/// width; inference is unchanged, code for code.  Throws Error(kUsage) naming the nearest anchor on an unknown name.
ModelData keep_anchors(const ModelData& model, const std::vector<std::string>& names);

}  // namespace bitpilot
