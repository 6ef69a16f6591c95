#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot-train picture`, for scripts/readme_tables and the test that keeps the pictures true: accuracy over cost from the records of
/// experiments/results, means over seeds.  Returns the exit code.
int run_picture(const std::vector<std::string>& args);

}  // namespace bitpilot
