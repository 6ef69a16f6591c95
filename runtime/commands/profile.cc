#include "runtime/commands/profile.h"

#include <algorithm>
#include <cstdio>

#include "runtime/commands/bench_model.h"
#include "runtime/commands/profile_choice.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/kernels/kernels.h"
#include "runtime/machine.h"
#include "runtime/profile_cache.h"

namespace bitpilot {
namespace {

/// One line a layer: whole and narrowest at 8 bits, and whole at the lowest bits.
void print_layers(const Profile& profile, const ModelData& model, const std::vector<ProfileEntry>& entries) {
  std::printf("  %-24s %10s %9s %10s %10s  %s\n", "layer, ms", "8 bits", "", "2 bits", "1 block", "kernel at 8 bits");
  for (int l = 0; l < model.network.layer_count(); ++l) {
    const int blocks = model.space.layers[static_cast<std::size_t>(l)].blocks;
    const auto whole = std::find_if(entries.begin(), entries.end(), [&](const ProfileEntry& entry) {
      return entry.layer == l && entry.weight == 8 && entry.activation == 8 && entry.blocks == blocks;
    });
    std::printf("  %-24s %10.4f ± %.5f %10.4f %10.4f  %s\n", model.network.layer(l).name.c_str(), whole->ms,
                whole->spread_ms, profile.cost.at(l, 2, 2, blocks), profile.cost.at(l, 8, 8, 1), whole->kernel.c_str());
  }
}

}  // namespace

int run_profile(const std::vector<std::string>& args) {
  BenchModel source;
  std::string out, hash;
  std::int64_t threads = 1;
  bool quiet = false;
  Options options("profile", "this machine's latency table, kernels picked");
  source.add_options(options);
  options.text("out", "FILE", out, "write bitpilot.profile/3 there too; - is standard output");
  options.integer("threads", "N", threads, 1, 64, "threads that share one picture");
  options.flag("quiet", quiet, "no progress and no table");
  if (!options.parse(args)) return 0;
  if (out.empty() && !source.network.empty())
    throw Error(ExitCode::kUsage, "a --network's profile needs --out", "bitpilot profile",
                "nothing is kept for random weights: name a file");

  const ModelData model = source.load("profile", hash);
  const Machine machine = this_machine(active_kernels(), static_cast<int>(threads));
  const MadeProfile made = make_profile(model, hash, machine, quiet);
  if (out == "-") {
    std::fputs(made.text.c_str(), stdout);
    return 0;
  }
  if (!out.empty()) write_file_atomically(out, made.text);
  if (!quiet) {
    std::printf("%s on %s, %s\n", model.network.name.c_str(), machine.cpu.c_str(), machine.isa.c_str());
    print_layers(parse_profile(made.text, out, model.network, model.space, machine), model, made.entries);
    if (made.kept) std::printf("run, eval and bench use these kernels: kept in %s\n", profile_cache_file(hash, machine).c_str());
  }
  if (out.empty() && !made.kept)
    throw Error(ExitCode::kMachine, "the profile cannot be kept", profile_cache_file(hash, machine),
                "give --out FILE, or set XDG_CACHE_HOME to a folder that can be written");
  return 0;
}

}  // namespace bitpilot
