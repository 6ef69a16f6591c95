// The front of bitpilot: turns arguments into a command and an Error into one message and an exit code.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/commands/command_table.h"
#include "runtime/commands/program.h"
#include "runtime/sources/media_protocol.h"

namespace {

/// Everybody may read a process's arguments: overwrites what stands behind the scheme of an address, which may hold a
/// password.
void hide_address(char* arg) {
  char* const rest = std::strstr(arg, "://");
  if (rest != nullptr) std::memset(rest + 3, '*', std::strlen(rest + 3));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  for (int i = 1; i < argc; ++i) hide_address(argv[i]);
  // Read by the decoders' libraries while bitpilot-media loads them.
  setenv("OPENCV_IO_MAX_IMAGE_PIXELS", std::to_string(bitpilot::media::kMaxPixels).c_str(), 1);
  return bitpilot::run_program("bitpilot", [&] { return bitpilot::run_command(args); });
}
