#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/core/image.h"

namespace bitpilot {

inline constexpr std::int64_t kMostPixels = 64'000'000;  ///< a larger picture is refused before it is decoded

/// Decodes a PNG, JPEG, BMP, PNM, WebP or TIFF picture in memory to 8 bits and 1 or 3 channels (transparency is
/// dropped, EXIF's orientation is followed).  Returns an empty Image if it is none, damaged or of more than
/// kMostPixels; `reason`, if given, then says why.
Image decode_picture(std::string_view bytes, std::string* reason = nullptr);
/// The same for a file (a DecodeFile of image_set.h).  Only regular files of at most 512 MiB are read.
Image decode_file(const std::string& path);
Image decode_file(const std::string& path, std::string* reason);

/// PNG bytes of a picture.  Throws Error(kMachine).
std::string encode_png(const Image& image);

}  // namespace bitpilot
