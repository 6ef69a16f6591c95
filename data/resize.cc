#include "data/resize.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace bitpilot {
namespace {

struct Shape2 {
  int height, width;
};

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

/// Sums of rows times their weights, one for each sample of a row.  Most rows of an area average weigh the same: they
/// are added up in 16 bits and weighted once.
class WeightedRows {
 public:
  explicit WeightedRows(std::size_t line) : sums_(line), run_(line) {}
  const std::vector<std::uint32_t>& sums() const { return sums_; }
  void clear() { std::fill(sums_.begin(), sums_.end(), 0U); }
  void add(const std::uint8_t* row, std::uint32_t weight) {
    if (rows_ == kMostRows || weight != weight_) flush();
    weight_ = weight;
    ++rows_;
    std::uint16_t* run = run_.data();
    for (std::size_t x = 0; x < run_.size(); ++x) run[x] = static_cast<std::uint16_t>(run[x] + row[x]);
  }
  void flush() {
    if (rows_ == 0) return;
    rows_ = 0;
    for (std::size_t x = 0; x < run_.size(); ++x) sums_[x] += weight_ * run_[x];
    std::fill(run_.begin(), run_.end(), std::uint16_t{0});
  }

 private:
  static constexpr int kMostRows = 257;  // 257 x 255 = 65535
  std::vector<std::uint32_t> sums_;      // 255 * rows.total fits: sides stay below 2^23
  std::vector<std::uint16_t> run_;
  std::uint32_t weight_ = 0;
  int rows_ = 0;
};

/// `row_at(y)`: the samples of row y, valid until the next call.
template <typename RowAt>
Image resize_rows(const Shape2& src, int channels, int height, int width, RowAt&& row_at) {
  Image dst(height, width, channels);
  const Axis rows = make_axis(src.height, height), columns = make_axis(src.width, width);
  const std::uint64_t total = rows.total * columns.total;
  const auto step = static_cast<std::size_t>(channels);
  WeightedRows weighted(static_cast<std::size_t>(src.width) * step);
  std::uint8_t* out = dst.pixels.data();
  for (const Taps& vertical : rows.taps) {
    weighted.clear();
    for (std::size_t k = 0; k < vertical.weights.size(); ++k)
      weighted.add(row_at(vertical.first + static_cast<int>(k)), vertical.weights[k]);
    weighted.flush();
    const std::vector<std::uint32_t>& sums = weighted.sums();
    for (const Taps& horizontal : columns.taps)
      for (std::size_t c = 0; c < step; ++c) {
        std::uint64_t sum = 0;
        for (std::size_t k = 0; k < horizontal.weights.size(); ++k)
          sum += static_cast<std::uint64_t>(horizontal.weights[k]) *
                 sums[(static_cast<std::size_t>(horizontal.first) + k) * step + c];
        *out++ = static_cast<std::uint8_t>((2 * sum + total) / (2 * total));
      }
  }
  return dst;
}

void luma_row(const std::uint8_t* row, int width, std::uint8_t* out) {
  for (int x = 0; x < width; ++x, row += 3)
    out[x] = static_cast<std::uint8_t>((1868 * row[0] + 9617 * row[1] + 4899 * row[2] + 8192) >> 14);
}

}  // namespace

Image resize(const ImageView& src, int height, int width) {
  return resize_rows({src.height, src.width}, src.channels, height, width, [&](int y) { return src.row(y); });
}

Image resize_luma(const ImageView& src, int height, int width) {
  if (src.channels == 1) return resize(src, height, width);
  std::vector<std::uint8_t> line(static_cast<std::size_t>(src.width));
  return resize_rows({src.height, src.width}, 1, height, width, [&](int y) {
    luma_row(src.row(y), src.width, line.data());
    return line.data();
  });
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
    luma_row(row, src.width, out);
    out += src.width;
  }
  return dst;
}

}  // namespace bitpilot
