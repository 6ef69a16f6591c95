#include "data/preprocess.h"

#include <array>
#include <cstring>

#include "data/resize.h"
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

/// To the net's channels at the source's size; `view` stays as it is where nothing is to be done.
ImageView to_channels(const ImageView& src, int channels, Image& storage) {
  if (src.channels == channels) return src;
  if (channels == 1) {
    storage = luma(src);
    return storage.view();
  }
  storage = Image(src.height, src.width, 3);
  std::uint8_t* out = storage.pixels.data();
  for (int y = 0; y < src.height; ++y)
    for (int x = 0; x < src.width; ++x, out += 3) out[0] = out[1] = out[2] = src.row(y)[x];
  return storage.view();
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

Prepared preprocess(const ImageView& src, const Shape& input, bool stretch, bool statistics) {
  check(src, input);
  Image channel_storage, size_storage;
  // A gray source of a colour net is resized as one channel: its three channels are equal anyway.
  const int working_channels = std::min(src.channels, input.channels);
  ImageView view = src;
  if (src.height == input.height && src.width == input.width) {
    view = to_channels(src, working_channels, channel_storage);
  } else {
    size_storage = working_channels < src.channels ? resize_luma(src, input.height, input.width)
                                                   : resize(src, input.height, input.width);
    view = size_storage.view();
  }
  Image gray_storage;
  const ImageView gray = to_channels(view, 1, gray_storage);
  Prepared prepared;
  PixelRange range;
  if (statistics) {
    prepared.statistics = image_statistics(gray, &range);
  } else {
    prepared.statistics = ImageStatistics::none();
    if (stretch) range = pixel_range(gray);
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
  return prepared;
}

}  // namespace bitpilot
