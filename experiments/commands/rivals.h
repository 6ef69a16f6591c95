#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot-train rivals`: learns a rival of our policy against a trained run and judges it on the test pictures of its data set.  A tool
/// of experiments/record_results, not of the front.
int run_rivals(const std::vector<std::string>& args);

}  // namespace bitpilot
