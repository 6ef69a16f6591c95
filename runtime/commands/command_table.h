#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/error.h"

namespace bitpilot {

/// One command of `bitpilot`: run here, or by a sister program that is started in our place (exec).
struct Command {
  std::string_view name, summary;
  int (*run)(const std::vector<std::string>& args);  ///< exit code; nullptr: `program` runs it
  std::string_view program;                          ///< "bitpilot-train", "bitpilot-media"
};

/// Every command, in the order of the help.  Help, dispatch and the tests read this table.
std::span<const Command> commands();
/// Text of `bitpilot --help`: what it is, the commands whose program is there, where to read on.
std::string commands_help();
/// Runs `args` (without the program's name): --help, --version or a command.  Returns the exit code; does not return
/// when a sister program takes over.  Throws Error(kUsage) on an unknown command (naming the nearest), Error(kMachine)
/// if a sister program is missing.
int run_command(const std::vector<std::string>& args);

}  // namespace bitpilot
