#pragma once

#include <cstdlib>

#include "runtime/core/image.h"
#include "runtime/core/random.h"

/// Small made-up pictures for the tests of data.
namespace bitpilot::testing {

/// Bright rectangles on a dark ramp, with a little noise: edges, flat parts and texture.
inline Image made_up_picture(int height, int width, int channels, std::uint64_t seed) {
  Random random(seed, "test picture");
  Image image(height, width, channels);
  const int top = static_cast<int>(random.below(static_cast<std::uint64_t>(height) / 2));
  const int left = static_cast<int>(random.below(static_cast<std::uint64_t>(width) / 2));
  std::size_t i = 0;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c) {
        const bool inside = y >= top && y < top + height / 2 && x >= left && x < left + width / 2;
        image.pixels[i++] = static_cast<std::uint8_t>((inside ? 150 + 30 * c : 20 + 60 * x / width) +
                                                      static_cast<int>(random.below(20)));
      }
  return image;
}

/// Every pixel drawn on its own.
inline Image noise_picture(int height, int width, int channels, std::uint64_t seed) {
  Random random(seed, "noise picture");
  Image image(height, width, channels);
  for (std::uint8_t& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
  return image;
}

inline Image flat_picture(int height, int width, int channels, std::uint8_t value) {
  Image image(height, width, channels);
  for (std::uint8_t& pixel : image.pixels) pixel = value;
  return image;
}

}  // namespace bitpilot::testing
