// The front of bitpilot: turns arguments into a command and an Error into one message and an exit code.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "runtime/commands/command_table.h"
#include "runtime/sources/media_protocol.h"

namespace {

/// Everybody may read a process's arguments: overwrites what stands behind the scheme of an address, which may hold a
/// password.
void hide_address(char* arg) {
  char* const rest = std::strstr(arg, "://");
  if (rest != nullptr) std::memset(rest + 3, '*', std::strlen(rest + 3));
}

int report(const std::string& message, bitpilot::ExitCode code) {
  std::fflush(stdout);
  std::fprintf(stderr, "error: %s\n", message.c_str());
  return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
  using bitpilot::ExitCode;
  const std::vector<std::string> args(argv + 1, argv + argc);
  for (int i = 1; i < argc; ++i) hide_address(argv[i]);
  // Read by the decoders' libraries while bitpilot-media loads them.
  setenv("OPENCV_IO_MAX_IMAGE_PIXELS", std::to_string(bitpilot::media::kMaxPixels).c_str(), 1);
  try {
    const int code = bitpilot::run_command(args);
    if (std::fflush(stdout) != 0) {
      return report(
          "cannot write the results\n  where: standard output\n  fix:   free some space or name another place",
          ExitCode::kMachine);
    }
    return code;
  } catch (const bitpilot::Error& error) {
    return report(error.what(), error.code);
  } catch (const std::bad_alloc&) {
    return report("out of memory\n  where: bitpilot\n  fix:   close other programs or use fewer --threads",
                  ExitCode::kMachine);
  } catch (const std::exception& error) {
    return report(
        std::string(error.what()) + "\n  where: bitpilot\n  fix:   this is a bug of bitpilot: please report it",
        ExitCode::kBug);
  }
}
