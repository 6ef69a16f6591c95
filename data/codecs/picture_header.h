#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bitpilot {

/// What the first bytes of a picture file say of it.
struct PictureHeader {
  std::string format;  ///< "png", "jpeg", "bmp", "pnm", "webp" or "tiff"; empty if it is none of these or damaged
  std::int64_t width = 0, height = 0;
};

/// Reads the size out of a picture file without decoding it, so that a small file that would unpack to gigabytes is
/// refused before a decoder sees it.
PictureHeader read_picture_header(std::string_view bytes);

}  // namespace bitpilot
