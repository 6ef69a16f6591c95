#pragma once

#include <string>

namespace bitpilot {

/// Path of a sister program ("bitpilot-media"): in the folder that BITPILOT_EXEC_PATH names, else beside this program.
/// "" where there is no such program.
std::string program_path(const std::string& name);

}  // namespace bitpilot
