#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot-train compare`: a trained run against networks trained alone, on the test pictures of its data set.  A tool of
/// experiments/record_results, not of the front.
int run_compare(const std::vector<std::string>& args);

}  // namespace bitpilot
