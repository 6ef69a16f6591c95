// The only program with picture and video decoders: serves bitpilot, which starts it, and runs `bitpilot degrade`.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "runtime/core/error.h"
#include "runtime/media/degrade_command.h"
#include "runtime/media/serve.h"
#include "runtime/media/stream.h"

namespace {

int run(const std::vector<std::string>& args) {
  using bitpilot::Error;
  using bitpilot::ExitCode;
  if (args.size() == 1 && args[0] == "serve") bitpilot::media::serve();
  if (!args.empty() && args[0] == "degrade") return bitpilot::run_degrade({args.begin() + 1, args.end()});
  throw Error(ExitCode::kUsage, "bitpilot-media is started by bitpilot", "bitpilot-media", "see `bitpilot --help`");
}

int report(const std::string& message, bitpilot::ExitCode code) {
  std::fflush(stdout);
  std::fprintf(stderr, "error: %s\n", message.c_str());
  return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
  using bitpilot::ExitCode;
  if (bitpilot::media::prepare_environment()) execv("/proc/self/exe", argv);
  try {
    return run({argv + 1, argv + argc});
  } catch (const bitpilot::Error& error) {
    return report(error.what(), error.code);
  } catch (const std::exception& error) {
    return report(
        std::string(error.what()) + "\n  where: bitpilot-media\n  fix:   this is a bug of bitpilot: please report it",
        ExitCode::kBug);
  }
}
