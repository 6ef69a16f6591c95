// The only program with picture and video decoders: serves bitpilot, which starts it, and runs `bitpilot degrade`.
#include <unistd.h>

#include <string>
#include <vector>

#include "runtime/commands/program.h"
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

}  // namespace

int main(int argc, char** argv) {
  if (bitpilot::media::prepare_environment()) execv("/proc/self/exe", argv);
  return bitpilot::run_program("bitpilot-media", [&] { return run({argv + 1, argv + argc}); });
}
