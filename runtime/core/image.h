#pragma once

#include <cstdint>
#include <vector>

namespace bitpilot {

/// A picture as pixels only (it has no label member on purpose: what decides on bit-widths must not see labels).
/// u8, height x width x channels interleaved; channels 1 (gray) or 3 (blue, green, red as OpenCV has them); `stride`
/// bytes a row.
struct ImageView {
  const std::uint8_t* pixels = nullptr;
  int height = 0, width = 0, channels = 1;
  std::size_t stride = 0;
  const std::uint8_t* row(int y) const { return pixels + static_cast<std::size_t>(y) * stride; }
};

/// An owning, densely packed picture.
struct Image {
  int height = 0, width = 0, channels = 1;
  std::vector<std::uint8_t> pixels;  ///< [height][width][channels]
  Image() = default;
  Image(int h, int w, int c) : height(h), width(w), channels(c), pixels(static_cast<std::size_t>(h) * w * c) {}
  ImageView view() const {
    return {pixels.data(), height, width, channels, static_cast<std::size_t>(width) * channels};
  }
  bool operator==(const Image&) const = default;
};

}  // namespace bitpilot
