#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot run`: adaptive inference over pictures, videos and cameras, one decision record a picture.  Returns the
/// exit code.
int run_run(const std::vector<std::string>& args);

}  // namespace bitpilot
