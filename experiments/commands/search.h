#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot search`: the best fixed mixed-precision configuration of a trained model, without retraining.  Returns the exit code.
int run_search(const std::vector<std::string>& args);

}  // namespace bitpilot
