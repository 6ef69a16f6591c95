#pragma once

#include <optional>
#include <string>

#include "runtime/profile.h"

namespace bitpilot {

/// Where `bitpilot profile` keeps what it measured for a model ("sha256:…" of its file) on a machine, bitpilot's version and its kernels'
/// ways included: in $XDG_CACHE_HOME/bitpilot, else ~/.cache/bitpilot.  Empty without a home.
std::string profile_cache_file(const std::string& model_hash, const Machine& machine);

/// Keeps a profile there.  Returns false where nothing can be written.
bool keep_profile(const std::string& text, const std::string& model_hash, const Machine& machine);

/// A file's profile, none for "off", and for "" the one kept for this model and machine, if there is a sound one.  Throws as parse_profile
/// does for a named file alone.
std::optional<Profile> find_profile(const std::string& wanted, const ModelData& model, const std::string& model_hash,
                                    const Machine& machine);

}  // namespace bitpilot
