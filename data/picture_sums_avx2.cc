// AVX2: 32 pixels of a row at a time, down a column of them, so that the rows above and below are at hand.  Bytes count
// |d|; 16 bits hold differences and their combinations, 32 bits the sums of a strip of rows.
#include "data/picture_sums.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "data/stack_room.h"

// Above the region: what must run on any processor, and library code that the linker may share.
namespace bitpilot {
bool has_avx2() { return __builtin_cpu_supports("avx2"); }

namespace {

constexpr int kBytes = 32;

/// A copy with a border on the left and right that repeats the outermost pixels: no difference appears there.
struct Padded {
  explicit Padded(const ImageView& p)
      : stride(static_cast<std::size_t>((p.width + kBytes - 1) / kBytes * kBytes + 2 * kBytes)),
        bytes(stride * static_cast<std::size_t>(p.height)) {
    for (int y = 0; y < p.height; ++y) {
      std::uint8_t* const to = bytes.data() + static_cast<std::size_t>(y) * stride + kBytes;
      std::memcpy(to, p.row(y), static_cast<std::size_t>(p.width));
      to[-1] = to[0];
      std::memset(to + p.width, to[p.width - 1], stride - kBytes - static_cast<std::size_t>(p.width));
    }
  }
  const std::uint8_t* row(int y) const { return bytes.data() + static_cast<std::size_t>(y) * stride + kBytes; }
  std::size_t stride;
  StackRoom<std::uint8_t, (kSideOnStack + 2 * kBytes) * kSideOnStack> bytes;
};

/// Room for the 2 x 2 sums, with 16 values on each side of a row that are never counted.
struct Halves {
  Halves(int height, int width)
      : stride(static_cast<std::size_t>((width + 15) / 16 * 16 + 32)),
        values(stride * static_cast<std::size_t>(height)) {}
  std::int16_t* row(int y) { return values.data() + static_cast<std::size_t>(y) * stride + 16; }
  std::size_t stride;
  StackRoom<std::int16_t, (kSideOnStack / 2 + 32) * (kSideOnStack / 2)> values;
};

PictureSums sums_of(const Padded& padded, Halves& half, int height, int width);

}  // namespace

PictureSums picture_sums_avx2(const ImageView& picture) {
  const Padded padded(picture);
  Halves half(picture.height / 2, picture.width / 2);
  return sums_of(padded, half, picture.height, picture.width);
}
}  // namespace bitpilot

#pragma GCC push_options
#pragma GCC target("avx2")
namespace bitpilot {
namespace {

using Vec = __m256i;
/// Rows after which sums leave their 32 bits: a lane takes at most 4 * 1020^2 a row.
constexpr int kStripRows = 256;

Vec load(const void* from) { return _mm256_loadu_si256(static_cast<const Vec*>(from)); }

/// First `count` of 32 bytes set.
Vec first_bytes(int count) {
  const Vec index = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
                                     23, 24, 25, 26, 27, 28, 29, 30, 31);
  return _mm256_cmpgt_epi8(_mm256_set1_epi8(static_cast<char>(count < 0 ? 0 : count > kBytes ? kBytes : count)), index);
}

std::int64_t total_64(Vec sums) {
  alignas(32) std::int64_t lane[4];
  _mm256_store_si256(reinterpret_cast<Vec*>(lane), sums);
  return lane[0] + lane[1] + lane[2] + lane[3];
}
/// Of eight non-negative sums of 32 bits, unsigned.
std::int64_t total_32(Vec sums) {
  const Vec zero = _mm256_setzero_si256();
  return total_64(_mm256_add_epi64(_mm256_unpacklo_epi32(sums, zero), _mm256_unpackhi_epi32(sums, zero)));
}

/// 32 values in 16 bits, in an order of their own.
struct Wide {
  Wide() = default;
  Wide(Vec l, Vec h) : low(l), high(h) {}
  explicit Wide(Vec bytes)
      : low(_mm256_unpacklo_epi8(bytes, _mm256_setzero_si256())),
        high(_mm256_unpackhi_epi8(bytes, _mm256_setzero_si256())) {}
  Vec low, high;
};
Wide operator+(const Wide& a, const Wide& b) {
  return {_mm256_add_epi16(a.low, b.low), _mm256_add_epi16(a.high, b.high)};
}
Wide operator-(const Wide& a, const Wide& b) {
  return {_mm256_sub_epi16(a.low, b.low), _mm256_sub_epi16(a.high, b.high)};
}
Wide operator&(const Wide& a, const Wide& b) {
  return {_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)};
}
Vec sum_of_products(const Wide& a, const Wide& b) {
  return _mm256_add_epi32(_mm256_madd_epi16(a.low, b.low), _mm256_madd_epi16(a.high, b.high));
}
Vec absolute_sum(const Wide& a) {
  const Vec ones = _mm256_set1_epi16(1);
  return _mm256_add_epi32(_mm256_madd_epi16(_mm256_abs_epi16(a.low), ones),
                          _mm256_madd_epi16(_mm256_abs_epi16(a.high), ones));
}
void add_32(Vec& sum, Vec more) { sum = _mm256_add_epi32(sum, more); }
void add_64(Vec& sum, Vec more) { sum = _mm256_add_epi64(sum, more); }

/// One row of a column: its pixels, what stands left and right, and both in 16 bits.
struct Row {
  explicit Row(const std::uint8_t* at)
      : pixels(load(at)), left(load(at - 1)), right(load(at + 1)), wide(pixels), sides(Wide(left) + Wide(right)) {}
  Vec pixels, left, right;
  Wide wide, sides;
};

/// Which pixels of a column count.
struct Column {
  Column(int x, int width)
      : inside(first_bytes(width - x)),
        interior(_mm256_andnot_si256(x == 0 ? first_bytes(1) : _mm256_setzero_si256(), first_bytes(width - 1 - x))),
        inside_wide(words(inside)),
        interior_wide(words(interior)) {}
  static Wide words(Vec mask) { return {_mm256_unpacklo_epi8(mask, mask), _mm256_unpackhi_epi8(mask, mask)}; }
  Vec inside, interior;
  Wide inside_wide, interior_wide;
};

struct StripSums {
  Vec values{}, jumps{}, border_jumps{}, isolated{};             // 64 bits
  Vec squares{}, jump_squares{}, laplacian_squares{}, second{};  // 32 bits
  void add_to(PictureSums& sums) const {
    sums.values += total_64(values);
    sums.jumps += total_64(jumps);
    sums.border_jumps += total_64(border_jumps);
    sums.isolated += total_64(isolated);
    sums.squares += total_32(squares);
    sums.jump_squares += total_32(jump_squares);
    sums.laplacian_squares += total_32(laplacian_squares);
    sums.second += total_32(second);
  }
};

/// What a row adds on its own: values and differences along it.
void add_row(const Row& row, const Column& column, StripSums& sums) {
  const Vec zero = _mm256_setzero_si256();
  const Vec border = _mm256_set1_epi64x(static_cast<std::int64_t>(0xff00000000000000));  // pixels 7, 15, …
  add_64(sums.values, _mm256_sad_epu8(_mm256_and_si256(row.pixels, column.inside), zero));
  const Wide inside = row.wide & column.inside_wide;
  add_32(sums.squares, sum_of_products(inside, inside));
  add_64(sums.jumps, _mm256_sad_epu8(row.pixels, row.right));
  add_64(sums.border_jumps, _mm256_sad_epu8(_mm256_and_si256(row.pixels, border), _mm256_and_si256(row.right, border)));
  const Wide step = Wide(row.right) - row.wide;
  add_32(sums.jump_squares, sum_of_products(step, step));
}

void add_step_down(const Row& row, const Row& below, const Column& column, bool border, StripSums& sums) {
  const Vec jumps =
      _mm256_sad_epu8(_mm256_and_si256(row.pixels, column.inside), _mm256_and_si256(below.pixels, column.inside));
  add_64(sums.jumps, jumps);
  if (border) add_64(sums.border_jumps, jumps);
  const Wide step = (below.wide - row.wide) & column.inside_wide;
  add_32(sums.jump_squares, sum_of_products(step, step));
}

void add_interior(const Row& above, const Row& row, const Row& below, const Column& column, StripSums& sums) {
  const Wide axes = row.sides + above.wide + below.wide, corners = above.sides + below.sides;
  const Wide twice = row.wide + row.wide, four = twice + twice;
  const Wide laplacian = (four - axes) & column.interior_wide;
  add_32(sums.laplacian_squares, sum_of_products(laplacian, laplacian));
  add_32(sums.second, absolute_sum((four - axes - axes + corners) & column.interior_wide));
  const Vec highest =
      _mm256_max_epu8(_mm256_max_epu8(row.left, row.right), _mm256_max_epu8(above.pixels, below.pixels));
  const Vec lowest = _mm256_min_epu8(_mm256_min_epu8(row.left, row.right), _mm256_min_epu8(above.pixels, below.pixels));
  const Vec step = _mm256_set1_epi8(kIsolatedStep), zero = _mm256_setzero_si256();
  const Vec over = _mm256_subs_epu8(_mm256_subs_epu8(row.pixels, highest), step);
  const Vec under = _mm256_subs_epu8(_mm256_subs_epu8(lowest, row.pixels), step);
  const Vec none = _mm256_cmpeq_epi8(_mm256_or_si256(over, under), zero);
  const Vec ones = _mm256_and_si256(_mm256_andnot_si256(none, column.interior), _mm256_set1_epi8(1));
  add_64(sums.isolated, _mm256_sad_epu8(ones, zero));
}

void add_column(const Padded& p, int height, int x, const Column& column, PictureSums& sums) {
  Row row(p.row(0) + x), above = row;
  for (int strip = 0; strip < height; strip += kStripRows) {
    const int end = strip + kStripRows < height ? strip + kStripRows : height;
    StripSums now;
    for (int y = strip; y < end; ++y) {
      add_row(row, column, now);
      if (y + 1 == height) break;
      const Row below(p.row(y + 1) + x);
      add_step_down(row, below, column, y % 8 == 7, now);
      if (y > 0) add_interior(above, row, below, column, now);
      above = row;
      row = below;
    }
    now.add_to(sums);
  }
}

/// Fills in the 2 x 2 sums, and adds the energy of the Haar details that they leave behind.
void halve(const Padded& p, Halves& half, int height, int width, PictureSums& sums) {
  const Vec ones = _mm256_set1_epi8(1), step = _mm256_set1_epi16(static_cast<std::int16_t>(0xff01));
  for (int x = 0; x < width; x += 16) {
    const Vec inside = first_bytes(2 * (width - x));
    for (int strip = 0; strip < height; strip += kStripRows) {
      Vec energy{};
      for (int y = strip; y < height && y < strip + kStripRows; ++y) {
        const Vec top = _mm256_and_si256(load(p.row(2 * y) + 2 * x), inside);
        const Vec bottom = _mm256_and_si256(load(p.row(2 * y + 1) + 2 * x), inside);
        const Vec top_sum = _mm256_maddubs_epi16(top, ones), bottom_sum = _mm256_maddubs_epi16(bottom, ones);
        const Vec top_step = _mm256_maddubs_epi16(top, step), bottom_step = _mm256_maddubs_epi16(bottom, step);
        const Vec across = _mm256_add_epi16(top_step, bottom_step), along = _mm256_sub_epi16(top_sum, bottom_sum);
        const Vec diagonal = _mm256_sub_epi16(top_step, bottom_step);
        add_32(energy, _mm256_add_epi32(_mm256_madd_epi16(across, across), _mm256_madd_epi16(along, along)));
        add_32(energy, _mm256_madd_epi16(diagonal, diagonal));
        _mm256_storeu_si256(reinterpret_cast<Vec*>(half.row(y) + x), _mm256_add_epi16(top_sum, bottom_sum));
      }
      sums.detail += total_32(energy);
    }
  }
}

Vec sides_of(const std::int16_t* at) { return _mm256_add_epi16(load(at - 1), load(at + 1)); }

void add_half_second(Halves& half, int height, int width, PictureSums& sums) {
  const Vec ones = _mm256_set1_epi16(1);
  for (int x = 0; x < width; x += 16) {
    // Two bytes a value: the first and the last value drop out.
    const Vec first = x == 0 ? first_bytes(2) : _mm256_setzero_si256();
    const Vec interior = _mm256_andnot_si256(first, first_bytes(2 * (width - 1 - x)));
    Vec sum{};
    for (int y = 1; y + 1 < height; ++y) {
      const std::int16_t *above = half.row(y - 1) + x, *row = half.row(y) + x, *below = half.row(y + 1) + x;
      const Vec axes = _mm256_add_epi16(sides_of(row), _mm256_add_epi16(load(above), load(below)));
      const Vec corners = _mm256_add_epi16(sides_of(above), sides_of(below));
      const Vec mask =
          _mm256_sub_epi16(_mm256_add_epi16(_mm256_slli_epi16(load(row), 2), corners), _mm256_slli_epi16(axes, 1));
      add_32(sum, _mm256_madd_epi16(_mm256_and_si256(_mm256_abs_epi16(mask), interior), ones));
    }
    sums.half_second += total_32(sum);
  }
}

Vec square(Vec v) { return _mm256_mullo_epi32(v, v); }

void add_half_detail(Halves& half, int height, int width, PictureSums& sums) {
  const Vec ones = _mm256_set1_epi16(1), step = _mm256_set1_epi32(static_cast<std::int32_t>(0xffff0001));
  const Vec zero = _mm256_setzero_si256();
  Vec sum{};  // 64 bits
  for (int x = 0; x + 1 < width; x += 16) {
    const Vec pairs = first_bytes(4 * ((width - x) / 2));
    for (int y = 0; y + 1 < height; y += 2) {
      const Vec top = _mm256_and_si256(load(half.row(y) + x), pairs);
      const Vec bottom = _mm256_and_si256(load(half.row(y + 1) + x), pairs);
      const Vec top_sum = _mm256_madd_epi16(top, ones), bottom_sum = _mm256_madd_epi16(bottom, ones);
      const Vec top_step = _mm256_madd_epi16(top, step), bottom_step = _mm256_madd_epi16(bottom, step);
      const Vec energy = _mm256_add_epi32(_mm256_add_epi32(square(_mm256_add_epi32(top_step, bottom_step)),
                                                           square(_mm256_sub_epi32(top_sum, bottom_sum))),
                                          square(_mm256_sub_epi32(top_step, bottom_step)));
      add_64(sum, _mm256_add_epi64(_mm256_unpacklo_epi32(energy, zero), _mm256_unpackhi_epi32(energy, zero)));
    }
  }
  sums.half_detail += total_64(sum);
}

PictureSums sums_of(const Padded& padded, Halves& half, int height, int width) {
  PictureSums sums;
  for (int x = 0; x < width; x += kBytes) add_column(padded, height, x, Column(x, width), sums);
  halve(padded, half, height / 2, width / 2, sums);
  add_half_second(half, height / 2, width / 2, sums);
  add_half_detail(half, height / 2, width / 2, sums);
  return sums;
}

}  // namespace
}  // namespace bitpilot
#pragma GCC pop_options
#endif
