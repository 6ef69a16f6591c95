#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot export`: a model file from a run or another model, whole or with some anchors only.  Returns the exit code.
int run_export(const std::vector<std::string>& args);

}  // namespace bitpilot
