#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot degrade`: writes a degraded set with its manifest, a preview sheet, or both.  Returns the exit code (130
/// or 143 when interrupted: nothing is left behind then); throws Error.
int run_degrade(const std::vector<std::string>& args);

}  // namespace bitpilot
