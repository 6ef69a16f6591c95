#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot bench`: times by stage and layer of a model file or of a backbone with random weights.  Returns the exit
/// code.
int run_bench(const std::vector<std::string>& args);

}  // namespace bitpilot
