#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/image.h"

namespace bitpilot {

/// Whole file as bytes; a gzip file (magic 1f 8b, whatever its name) is unpacked.  Throws Error(kData), also where the
/// unpacked size would pass 4 GiB.
std::string read_maybe_gzip(const std::string& path);

/// Pictures of an IDX file of unsigned bytes: three dimensions [count][height][width] (gray, magic 0803) or four
/// [count][height][width][3] (colour, red green blue, magic 0804).  Throws Error(kData) on a missing, truncated or
/// other file.
std::vector<Image> read_idx_images(const std::string& path);
/// Labels of an IDX file of unsigned bytes with one dimension (magic 0801).
std::vector<int> read_idx_labels(const std::string& path);

/// Header bytes of an IDX file of unsigned bytes.
std::string idx_header(const std::vector<std::uint32_t>& dimensions);
/// The pixels of a picture as IDX stores them: gray as they are, colour in the order red, green, blue.
std::string idx_pixels(const Image& image);

}  // namespace bitpilot
