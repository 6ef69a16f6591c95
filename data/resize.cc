#include "data/resize.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace bitpilot {
namespace {

/// Source pixels first .. first + weights.size() - 1 of one destination pixel; weights add up to Axis::total.
struct Taps {
  int first = 0;
  std::vector<std::uint32_t> weights;
};

struct Axis {
  std::vector<Taps> taps;
  std::uint64_t total = 1;
};

/// Destination pixel i covers [i * from, (i + 1) * from) in units in which source pixel j covers [j * to, (j + 1) *
/// to).
Axis area_axis(int from, int to) {
  Axis axis{std::vector<Taps>(static_cast<std::size_t>(to)), static_cast<std::uint64_t>(from)};
  for (std::int64_t i = 0; i < to; ++i) {
    const std::int64_t begin = i * from, end = begin + from;
    Taps& taps = axis.taps[static_cast<std::size_t>(i)];
    taps.first = static_cast<int>(begin / to);
    for (std::int64_t j = taps.first; j * to < end; ++j)
      taps.weights.push_back(static_cast<std::uint32_t>(std::min(end, (j + 1) * to) - std::max(begin, j * to)));
  }
  return axis;
}

/// Position of the destination's centre in the source is ((2 i + 1) * from - to) / (2 to), exact as a fraction.
Axis linear_axis(int from, int to) {
  Axis axis{std::vector<Taps>(static_cast<std::size_t>(to)), 2 * static_cast<std::uint64_t>(to)};
  const std::int64_t unit = 2 * static_cast<std::int64_t>(to);
  for (std::int64_t i = 0; i < to; ++i) {
    const std::int64_t position = std::clamp<std::int64_t>((2 * i + 1) * from - to, 0, (from - 1) * unit);
    Taps& taps = axis.taps[static_cast<std::size_t>(i)];
    taps.first = static_cast<int>(position / unit);
    const auto fraction = static_cast<std::uint32_t>(position % unit);
    taps.weights.push_back(static_cast<std::uint32_t>(unit) - fraction);
    if (fraction > 0) taps.weights.push_back(fraction);
  }
  return axis;
}

Axis make_axis(int from, int to) {
  if (from == to) {
    Axis axis{std::vector<Taps>(static_cast<std::size_t>(to)), 1};
    for (int i = 0; i < to; ++i) axis.taps[static_cast<std::size_t>(i)] = {i, {1}};
    return axis;
  }
  return to < from ? area_axis(from, to) : linear_axis(from, to);
}

}  // namespace

Image resize(const ImageView& src, int height, int width) {
  Image dst(height, width, src.channels);
  const Axis rows = make_axis(src.height, height), columns = make_axis(src.width, width);
  const auto line = static_cast<std::size_t>(src.width) * static_cast<std::size_t>(src.channels);
  const std::uint64_t total = rows.total * columns.total;
  std::vector<std::uint32_t> sums(line);  // 255 * rows.total fits: sides stay below 2^23
  std::uint8_t* out = dst.pixels.data();
  for (const Taps& vertical : rows.taps) {
    std::fill(sums.begin(), sums.end(), 0U);
    for (std::size_t k = 0; k < vertical.weights.size(); ++k) {
      const std::uint8_t* row = src.row(vertical.first + static_cast<int>(k));
      const std::uint32_t weight = vertical.weights[k];
      for (std::size_t x = 0; x < line; ++x) sums[x] += weight * row[x];
    }
    for (const Taps& horizontal : columns.taps)
      for (int c = 0; c < src.channels; ++c) {
        std::uint64_t sum = 0;
        for (std::size_t k = 0; k < horizontal.weights.size(); ++k)
          sum += static_cast<std::uint64_t>(horizontal.weights[k]) *
                 sums[(static_cast<std::size_t>(horizontal.first) + k) * static_cast<std::size_t>(src.channels) +
                      static_cast<std::size_t>(c)];
        *out++ = static_cast<std::uint8_t>((2 * sum + total) / (2 * total));
      }
  }
  return dst;
}

Image luma(const ImageView& src) {
  Image dst(src.height, src.width, 1);
  std::uint8_t* out = dst.pixels.data();
  for (int y = 0; y < src.height; ++y) {
    const std::uint8_t* row = src.row(y);
    if (src.channels == 1) {
      std::memcpy(out, row, static_cast<std::size_t>(src.width));
      out += src.width;
      continue;
    }
    for (int x = 0; x < src.width; ++x, row += 3)
      *out++ = static_cast<std::uint8_t>((1868 * row[0] + 9617 * row[1] + 4899 * row[2] + 8192) >> 14);
  }
  return dst;
}

}  // namespace bitpilot
