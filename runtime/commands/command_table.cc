#include "runtime/commands/command_table.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/commands/bench.h"
#include "runtime/commands/eval.h"
#include "runtime/commands/inspect.h"
#include "runtime/commands/profile.h"
#include "runtime/commands/run.h"
#include "runtime/core/files.h"
#include "runtime/kernels/kernels.h"
#include "runtime/sources/program_path.h"

namespace bitpilot {

namespace {

constexpr Command kCommands[] = {
    {"degrade", "write degraded copies of a data set, or a preview sheet", nullptr, "bitpilot-media"},
    {"train", "learn a supernet and its bit-width policy", nullptr, "bitpilot-train"},
    {"search", "find static mixed-precision configurations without retraining", nullptr, "bitpilot-train"},
    {"eval", "accuracy and cost by family and severity", run_eval, ""},
    {"export", "write a trained run as a model file", nullptr, "bitpilot-train"},
    {"run", "adaptive inference over pictures, videos and cameras", run_run, ""},
    {"profile", "this machine's latency table, kernels picked", run_profile, ""},
    {"bench", "speed by stage and layer", run_bench, ""},
    {"inspect", "what a model file or a run holds", run_inspect, ""},
};

int exec_program(const Command& command, const std::vector<std::string>& args) {
  const std::string name(command.program), path = program_path(name);
  const std::string fix = "build it (training: -DBITPILOT_TRAINING=ON) or name its folder in BITPILOT_EXEC_PATH";
  if (path.empty())
    throw Error(ExitCode::kMachine, "`bitpilot " + std::string(command.name) + "` needs " + name, "beside bitpilot",
                fix);
  std::vector<std::string> words{name};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(path.c_str(), argv.data());
  throw Error(ExitCode::kMachine, name + " cannot be started: " + std::strerror(errno), path, fix);
}

}  // namespace

std::span<const Command> commands() { return kCommands; }

std::string commands_help() {
  std::string text =
      "bitpilot: a bit-width for every layer, chosen per picture\n"
      "usage: bitpilot COMMAND [flags]\n\n";
  for (const Command& command : kCommands) {
    if (command.run == nullptr && program_path(std::string(command.program)).empty()) continue;
    text += "  " + std::string(command.name) + std::string(10 - command.name.size(), ' ') +
            std::string(command.summary) + "\n";
  }
  return text +
         "\n  bitpilot COMMAND --help   every flag of a command\n"
         "  bitpilot --version        version and instruction set\n";
}

int run_command(const std::vector<std::string>& args) {
  if (args.empty()) throw Error(ExitCode::kUsage, "no command given", "bitpilot", "see `bitpilot --help`");
  if (args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    std::fputs(commands_help().c_str(), stdout);
    return 0;
  }
  if (args[0] == "--version") {
    std::printf("bitpilot %s %s\n", BITPILOT_VERSION, active_kernels().name);
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    names.emplace_back(command.name);
    if (command.name != args[0]) continue;
    return command.run == nullptr ? exec_program(command, args) : command.run({args.begin() + 1, args.end()});
  }
  const bool flag = args[0].starts_with("-");
  const std::string like = flag ? "" : nearest_name(args[0], names);
  throw Error(ExitCode::kUsage, (flag ? "unknown flag " + args[0] : "unknown command \"" + args[0] + "\""), "bitpilot",
              like.empty() ? "see `bitpilot --help`" : "did you mean `bitpilot " + like + "`?");
}

}  // namespace bitpilot
