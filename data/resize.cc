#include "data/resize.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

namespace bitpilot {
namespace {

void reshape(Image& image, int height, int width, int channels) {
  image.height = height;
  image.width = width;
  image.channels = channels;
  image.pixels.resize(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * static_cast<std::size_t>(channels));
}

/// Source pixels of every destination pixel and their weights, which add up to `total`.
struct Axis {
  std::vector<int> first;              ///< [pixel]
  std::vector<std::size_t> ends;       ///< [pixel]: where its weights end, and the next pixel's begin
  std::vector<std::uint32_t> weights;  ///< of the source pixels from first[pixel] on
  std::uint64_t total = 1;

  void start(std::uint64_t sum_of_weights) {
    first.clear();
    ends.clear();
    weights.clear();
    total = sum_of_weights;
  }
  std::size_t size() const { return first.size(); }
  std::span<const std::uint32_t> weights_of(std::size_t pixel) const {
    const std::size_t begin = pixel == 0 ? 0 : ends[pixel - 1];
    return {weights.data() + begin, ends[pixel] - begin};
  }
};

/// Destination pixel i covers [i * from, (i + 1) * from) in units in which source pixel j covers [j * to, (j + 1) *
/// to).
void fill_area_axis(int from, int to, Axis& axis) {
  axis.start(static_cast<std::uint64_t>(from));
  for (std::int64_t i = 0; i < to; ++i) {
    const std::int64_t begin = i * from, end = begin + from, first = begin / to;
    axis.first.push_back(static_cast<int>(first));
    for (std::int64_t j = first; j * to < end; ++j)
      axis.weights.push_back(static_cast<std::uint32_t>(std::min(end, (j + 1) * to) - std::max(begin, j * to)));
    axis.ends.push_back(axis.weights.size());
  }
}

/// Position of the destination's centre in the source is ((2 i + 1) * from - to) / (2 to), exact as a fraction.
void fill_linear_axis(int from, int to, Axis& axis) {
  const std::int64_t unit = 2 * static_cast<std::int64_t>(to);
  axis.start(static_cast<std::uint64_t>(unit));
  for (std::int64_t i = 0; i < to; ++i) {
    const std::int64_t position = std::clamp<std::int64_t>((2 * i + 1) * from - to, 0, (from - 1) * unit);
    axis.first.push_back(static_cast<int>(position / unit));
    const auto fraction = static_cast<std::uint32_t>(position % unit);
    axis.weights.push_back(static_cast<std::uint32_t>(unit) - fraction);
    if (fraction > 0) axis.weights.push_back(fraction);
    axis.ends.push_back(axis.weights.size());
  }
}

void fill_axis(int from, int to, Axis& axis) {
  if (to < from) return fill_area_axis(from, to, axis);
  if (to > from) return fill_linear_axis(from, to, axis);
  axis.start(1);
  for (int i = 0; i < to; ++i) {
    axis.first.push_back(i);
    axis.weights.push_back(1);
    axis.ends.push_back(axis.weights.size());
  }
}

/// Sums of rows times their weights, one for each sample of a row.  Most rows of an area average weigh the same: they
/// are added up in 16 bits and weighted once.
class WeightedRows {
 public:
  /// Nothing added up yet, of rows of `line` samples.
  void start(std::size_t line) {
    sums_.assign(line, 0);
    run_.assign(line, 0);
    rows_ = 0;
  }
  const std::vector<std::uint32_t>& sums() const { return sums_; }
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

void luma_row(const std::uint8_t* row, int width, std::uint8_t* out) {
  for (int x = 0; x < width; ++x, row += 3)
    out[x] = static_cast<std::uint8_t>((1868 * row[0] + 9617 * row[1] + 4899 * row[2] + 8192) >> 14);
}

}  // namespace

struct Resizer::Memory {
  Axis rows, columns;
  WeightedRows weighted;
  std::vector<std::uint8_t> line;

  /// `row_at(y)`: the samples of row y, valid until the next call.
  template <typename RowAt>
  void resize(const ImageView& src, int channels, int height, int width, Image& dst, RowAt&& row_at) {
    reshape(dst, height, width, channels);
    fill_axis(src.height, height, rows);
    fill_axis(src.width, width, columns);
    const std::uint64_t total = rows.total * columns.total;
    const auto step = static_cast<std::size_t>(channels);
    std::uint8_t* out = dst.pixels.data();
    for (std::size_t y = 0; y < rows.size(); ++y) {
      weighted.start(static_cast<std::size_t>(src.width) * step);
      int row = rows.first[y];
      for (const std::uint32_t weight : rows.weights_of(y)) weighted.add(row_at(row++), weight);
      weighted.flush();
      const std::vector<std::uint32_t>& sums = weighted.sums();
      for (std::size_t x = 0; x < columns.size(); ++x)
        for (std::size_t c = 0; c < step; ++c) {
          std::uint64_t sum = 0;
          std::size_t at = static_cast<std::size_t>(columns.first[x]) * step + c;
          for (const std::uint32_t weight : columns.weights_of(x)) {
            sum += static_cast<std::uint64_t>(weight) * sums[at];
            at += step;
          }
          *out++ = static_cast<std::uint8_t>((2 * sum + total) / (2 * total));
        }
    }
  }
};

Resizer::Resizer() : memory_(std::make_unique<Memory>()) {}
Resizer::~Resizer() = default;
Resizer::Resizer(Resizer&&) noexcept = default;

void Resizer::resize(const ImageView& src, int height, int width, Image& dst) {
  memory_->resize(src, src.channels, height, width, dst, [&](int y) { return src.row(y); });
}

void Resizer::resize_luma(const ImageView& src, int height, int width, Image& dst) {
  if (src.channels == 1) return resize(src, height, width, dst);
  std::vector<std::uint8_t>& line = memory_->line;
  line.resize(static_cast<std::size_t>(src.width));
  memory_->resize(src, 1, height, width, dst, [&](int y) {
    luma_row(src.row(y), src.width, line.data());
    return line.data();
  });
}

Image resize(const ImageView& src, int height, int width) {
  Image dst;
  Resizer().resize(src, height, width, dst);
  return dst;
}

Image resize_luma(const ImageView& src, int height, int width) {
  Image dst;
  Resizer().resize_luma(src, height, width, dst);
  return dst;
}

void luma(const ImageView& src, Image& dst) {
  reshape(dst, src.height, src.width, 1);
  std::uint8_t* out = dst.pixels.data();
  for (int y = 0; y < src.height; ++y, out += src.width) {
    if (src.channels == 1)
      std::memcpy(out, src.row(y), static_cast<std::size_t>(src.width));
    else
      luma_row(src.row(y), src.width, out);
  }
}

Image luma(const ImageView& src) {
  Image dst;
  luma(src, dst);
  return dst;
}

}  // namespace bitpilot
