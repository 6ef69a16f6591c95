#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot profile`: this machine's times for every layer and setting of a network, kernels picked.  Returns the exit
/// code.
int run_profile(const std::vector<std::string>& args);

}  // namespace bitpilot
