#pragma once

#include <memory>
#include <optional>
#include <string>

#include "runtime/engine/engine.h"
#include "runtime/profile.h"

namespace bitpilot {

/// Help of --profile where it chooses kernels.
inline constexpr const char* kProfileHelp =
    "kernels that `bitpilot profile` found fastest: its file, or off; what it kept for this model and machine if not given";

/// Where `bitpilot profile` keeps what it measured for a model ("sha256:…" of its file) on a machine, this version of bitpilot included:
/// in $XDG_CACHE_HOME/bitpilot, else ~/.cache/bitpilot.  Empty without a home.
std::string profile_cache_file(const std::string& model_hash, const Machine& machine);

/// Keeps a profile there.  Returns false where nothing can be written.
bool keep_profile(const std::string& text, const std::string& model_hash, const Machine& machine);

/// The profile that --profile means: a file's, none for "off", and for "" the one kept for this model and machine, if there is a sound one.
/// Throws as parse_profile does for a named file alone.
std::optional<Profile> find_profile(const std::string& wanted, const ModelData& model, const std::string& model_hash,
                                    const Machine& machine);

/// A model file with the kernels that --profile means, for one thread a picture.  Codes and decisions are the same with any.
std::shared_ptr<const Model> load_model(const std::string& path, const std::string& profile);

}  // namespace bitpilot
