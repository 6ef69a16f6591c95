#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot-train curve`: accuracy over cost of series of runs (one recipe at several prices, its controls), as JSON and as a picture, and
/// the first series against each other one at equal cost.  A tool of experiments/reproduce, not of the front.  Returns the exit code.
int run_curve(const std::vector<std::string>& args);

}  // namespace bitpilot
