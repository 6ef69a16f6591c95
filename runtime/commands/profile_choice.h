#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/profile.h"

namespace bitpilot {

/// --profile where it chooses kernels.
inline constexpr const char* kProfileValue = "FILE|make|off";
inline constexpr const char* kProfileHelp =
    "kernels that are fastest on this machine: a file of `bitpilot profile`, what is kept for this model or else made now and kept, or "
    "none; what is kept, if anything, if not given";

/// This machine's times of a model.
struct MadeProfile {
  std::vector<ProfileEntry> entries;
  std::string text;   ///< bitpilot.profile/3
  bool kept = false;  ///< for later starts, where the model has a hash
};

/// Measures the active kernels, with progress on standard error unless `quiet`, and keeps the result.
MadeProfile make_profile(const ModelData& model, const std::string& model_hash, const Machine& machine, bool quiet);

/// The profile that --profile means: find_profile, and for "make" one that is made where none is kept.  One that cannot be kept is used
/// this once, with a warning on standard error.  Throws Error(kUsage) on "make" for a model without a hash: nothing is kept for random
/// weights.  `command`: for messages.
std::optional<Profile> choose_profile(const std::string& wanted, const ModelData& model, const std::string& model_hash, const Machine& machine,
                                      const std::string& command, bool quiet);

/// A model file with the kernels that --profile means, for one thread a picture.  Codes and decisions are the same with any.
std::shared_ptr<const Model> load_model(const std::string& path, const std::string& profile, const std::string& command, bool quiet);

}  // namespace bitpilot
