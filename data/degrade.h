#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/core/image.h"

namespace bitpilot {

/// Largest side of a "small" picture, which takes the mixture's columns.
inline constexpr int kSmallPicture = 64;

/// Names of all degradation families, in a fixed order (at least 16).  Severities are 1..5.
const std::vector<std::string>& degradation_families();
/// False for families that have no meaning on one channel (saturate).
bool applies_to_channels(const std::string& family, int channels);
/// A degraded copy, same size and channels.  Inputs up to 64 px use the mixture's small-picture columns, larger ones
/// the 224 px column of Hendrycks & Dietterich (arXiv:1903.12261); these are "C-style", not the published -C files. The
/// same (src, family, severity, seed) gives the same bytes.  Throws Error(kUsage) naming the nearest family on an
/// unknown one.
Image degrade(const Image& src, const std::string& family, int severity, std::uint64_t seed);
/// The parameters that degrade() uses, by name, for manifests.  Throws as degrade().
nlohmann::json degradation_parameters(const std::string& family, int severity, int width, int height);

}  // namespace bitpilot
