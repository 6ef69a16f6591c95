#include "data/preprocessor.h"

#include <array>
#include <cstring>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr int kLeastRange = 8;  // below it a picture is flat: stretching would only amplify its noise

void check(const ImageView& src, const Shape& input) {
  if (src.pixels == nullptr || src.height <= 0 || src.width <= 0)
    throw Error(ExitCode::kData, "an empty picture", "preprocessing", "give pictures of at least 1 x 1 pixels");
  if (src.channels != 1 && src.channels != 3)
    throw Error(ExitCode::kData, "a picture with " + std::to_string(src.channels) + " channels", "preprocessing",
                "convert it to gray (1 channel) or colour (3 channels)");
  if ((input.channels != 1 && input.channels != 3) || input.height <= 0 || input.width <= 0)
    throw Error(ExitCode::kData,
                "a network input of " + std::to_string(input.channels) + " x " + std::to_string(input.height) + " x " +
                    std::to_string(input.width),
                "preprocessing", "networks read pictures of 1 or 3 channels");
}

std::array<std::uint8_t, 256> stretch_table(const PixelRange& range) {
  std::array<std::uint8_t, 256> table{};
  const int span = range.high - range.low;
  for (int v = 0; v < 256; ++v) {
    const int wide = 2 * 255 * (v - range.low) + span;  // half up; negative below `low`
    table[static_cast<std::size_t>(v)] = static_cast<std::uint8_t>(wide <= 0 ? 0 : std::min(wide / (2 * span), 255));
  }
  return table;
}

}  // namespace

ImageView Preprocessor::sized(const ImageView& src, const Shape& input) {
  // A gray source of a colour net is resized as one channel: its three channels are equal anyway.
  const bool to_luma = input.channels < src.channels;
  if (src.height == input.height && src.width == input.width) {
    if (!to_luma) return src;
    luma(src, sized_);
  } else if (to_luma) {
    resizer_.resize_luma(src, input.height, input.width, sized_);
  } else {
    resizer_.resize(src, input.height, input.width, sized_);
  }
  return sized_.view();
}

ImageView Preprocessor::gray(const ImageView& picture) {
  if (picture.channels == 1) return picture;
  luma(picture, gray_);
  return gray_.view();
}

void Preprocessor::prepare(const ImageView& src, const Shape& input, bool stretch, bool statistics, Prepared& prepared) {
  check(src, input);
  const ImageView view = sized(src, input);
  PixelRange range;
  if (statistics) {
    prepared.statistics = image_statistics(gray(view), &range);
  } else {
    prepared.statistics = ImageStatistics::none();
    if (stretch) range = pixel_range(gray(view));
  }

  const std::size_t line = static_cast<std::size_t>(view.width) * static_cast<std::size_t>(view.channels);
  prepared.codes.resize(static_cast<std::size_t>(input.height) * static_cast<std::size_t>(input.width) *
                        static_cast<std::size_t>(input.channels));
  const bool identity = !stretch || range.high - range.low < kLeastRange;
  const std::array<std::uint8_t, 256> table = identity ? std::array<std::uint8_t, 256>{} : stretch_table(range);
  std::uint8_t* out = prepared.codes.data();
  const int repeat = input.channels / view.channels;
  for (int y = 0; y < view.height; ++y) {
    const std::uint8_t* row = view.row(y);
    if (identity && repeat == 1) {
      std::memcpy(out, row, line);
      out += line;
      continue;
    }
    for (std::size_t x = 0; x < line; ++x) {
      const std::uint8_t value = identity ? row[x] : table[row[x]];
      for (int r = 0; r < repeat; ++r) *out++ = value;
    }
  }
}

}  // namespace bitpilot
