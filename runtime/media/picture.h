#pragma once

#include <string>

#include <opencv2/core/mat.hpp>

namespace bitpilot::media {

struct Picture {
  cv::Mat pixels;      ///< u8, 1 or 3 channels (blue, green, red); empty if unreadable
  std::string reason;  ///< why it is unreadable
};

/// Reads and decodes a picture file, turned as its EXIF data say.  From memory, so that no decoder opens files or addresses by itself.
Picture read_picture(const std::string& path);

}  // namespace bitpilot::media
