#pragma once

#include <stdexcept>
#include <string>

namespace bitpilot {

/// Exit codes of every bitpilot program.  Source: docs/cli.md.
enum class ExitCode : int {
  kOk = 0,       ///< done
  kBug = 1,      ///< our own fault
  kUsage = 2,    ///< wrong flag or --set
  kData = 3,     ///< bad input data or file
  kMachine = 4,  ///< the machine failed us: camera gone, disk full, missing ISA, network
  kCheck = 5,    ///< a check that the user asked for was missed
};

/// The one exception type: what went wrong, where, and how to mend it.  Only a program's main turns it into a message
/// and an exit code.
struct Error : std::runtime_error {
  Error(ExitCode exit_code, const std::string& what_happened, const std::string& where, const std::string& fix)
      : std::runtime_error(what_happened + "\n  where: " + where + "\n  fix:   " + fix), code(exit_code) {}
  ExitCode code;
};

}  // namespace bitpilot
