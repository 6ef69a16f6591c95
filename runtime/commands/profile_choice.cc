#include "runtime/commands/profile_choice.h"

#include <cstdio>

#include "runtime/core/error.h"
#include "runtime/kernels/kernels.h"
#include "runtime/profile_cache.h"
#include "runtime/profile_measure.h"
#include "runtime/sinks/progress.h"

namespace bitpilot {

MadeProfile make_profile(const ModelData& model, const std::string& model_hash, const Machine& machine, bool quiet) {
  const Kernels& kernels = active_kernels();
  Progress progress("profile", static_cast<std::uint64_t>(model.network.layer_count()), Progress::style(quiet));
  MadeProfile made;
  made.entries = measure_profile(model, kernels, machine.threads,
                                 [&](int layers) { progress.update(static_cast<std::uint64_t>(layers)); });
  progress.finish();
  made.text = profile_text(machine, model.network, model.space, made.entries, measure_deciding(model, kernels));
  made.kept = keep_profile(made.text, model_hash, machine);
  return made;
}

std::optional<Profile> choose_profile(const std::string& wanted, const ModelData& model, const std::string& model_hash, const Machine& machine,
                                      const std::string& command, bool quiet) {
  if (wanted != "make") return find_profile(wanted, model, model_hash, machine);
  if (model_hash.empty())
    throw Error(ExitCode::kUsage, "--profile make keeps the times of a model file, random weights are none", "bitpilot " + command,
                "measure with `bitpilot profile --network NAME --out FILE`, then give --profile FILE");
  if (std::optional<Profile> kept = find_profile("", model, model_hash, machine)) return kept;
  const MadeProfile made = make_profile(model, model_hash, machine, quiet);
  if (!made.kept)
    std::fprintf(stderr, "warning: the profile cannot be kept, the next start measures again: set XDG_CACHE_HOME to a folder that can be written\n");
  return parse_profile(made.text, "--profile make", model.network, model.space, machine);
}

std::shared_ptr<const Model> load_model(const std::string& path, const std::string& profile, const std::string& command, bool quiet) {
  return Model::load(path, [&](const ModelData& model, const std::string& hash) {
    std::optional<Profile> chosen = choose_profile(profile, model, hash, this_machine(active_kernels(), 1), command, quiet);
    return chosen ? std::move(chosen->choice) : KernelChoice();
  });
}

}  // namespace bitpilot
