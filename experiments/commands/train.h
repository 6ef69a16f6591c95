#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot train`: a run folder from a recipe.  Returns the exit code.
int run_train(const std::vector<std::string>& args);

}  // namespace bitpilot
