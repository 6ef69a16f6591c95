#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/image.h"

namespace bitpilot {

/// One picture under every family (rows, named at the left) at every severity (columns; the first one is the picture
/// itself).  Small pictures are enlarged pixel by pixel, large ones shrunk; the degradation happens at the picture's
/// own size.  Families that do not apply to its channels are left out.
Image preview_sheet(const Image& src, const std::vector<std::string>& families, const std::vector<int>& severities,
                    std::uint64_t seed);

}  // namespace bitpilot
