#include "data/picture_sums.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "data/stack_room.h"

namespace bitpilot {
namespace {

void add_values(const std::uint8_t* row, int width, PictureSums& sums) {
  int values = 0, squares = 0;
  for (int x = 0; x < width; ++x) {
    values += row[x];
    squares += row[x] * row[x];
  }
  sums.values += values;
  sums.squares += squares;
}

void add_row_jumps(const std::uint8_t* row, int width, PictureSums& sums) {
  int absolute = 0, squares = 0, border = 0;
  for (int x = 0; x + 1 < width; ++x) {
    const int d = row[x + 1] - row[x];
    absolute += std::abs(d);
    squares += d * d;
  }
  for (int x = 7; x + 1 < width; x += 8) border += std::abs(row[x + 1] - row[x]);
  sums.jumps += absolute;
  sums.jump_squares += squares;
  sums.border_jumps += border;
}

void add_column_jumps(const std::uint8_t* row, const std::uint8_t* below, int width, bool border, PictureSums& sums) {
  int absolute = 0, squares = 0;
  for (int x = 0; x < width; ++x) {
    const int d = below[x] - row[x];
    absolute += std::abs(d);
    squares += d * d;
  }
  sums.jumps += absolute;
  sums.jump_squares += squares;
  if (border) sums.border_jumps += absolute;
}

/// Laplacian, Immerkaer mask and isolated extremes of one interior row.
void add_interior(const std::uint8_t* above, const std::uint8_t* row, const std::uint8_t* below, int width,
                  PictureSums& sums) {
  int squares = 0, second = 0, isolated = 0;
  for (int x = 1; x + 1 < width; ++x) {
    const int left = row[x] - row[x - 1], right = row[x] - row[x + 1], up = row[x] - above[x], down = row[x] - below[x];
    const int laplacian = left + right + up + down;
    squares += laplacian * laplacian;
    // The mask [1 -2 1; -2 4 -2; 1 -2 1] is twice the Laplacian along the axes' sum less the eight neighbours' sum: 4 p
    // - 2 axes + corners.
    const int corners = above[x - 1] + above[x + 1] + below[x - 1] + below[x + 1];
    second += std::abs(2 * laplacian - 4 * row[x] + corners);
    const int lowest = std::min(std::min(left, right), std::min(up, down)),
              highest = std::max(std::max(left, right), std::max(up, down));
    isolated += static_cast<int>(lowest > kIsolatedStep) | static_cast<int>(highest < -kIsolatedStep);
  }
  sums.laplacian_squares += squares;
  sums.second += second;
  sums.isolated += isolated;
}

using Halves = StackRoom<std::int16_t, kSideOnStack / 2 * kSideOnStack / 2>;

/// 2 x 2 sums of the picture, and adds the energy of the Haar details that they leave behind.
void halve(const ImageView& p, Halves& half, PictureSums& sums) {
  const int height = p.height / 2, width = p.width / 2;
  for (int y = 0; y < height; ++y) {
    const std::uint8_t *top = p.row(2 * y), *bottom = p.row(2 * y + 1);
    std::int16_t* out = half.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
    int energy = 0;
    for (int x = 0; x < width; ++x) {
      const int top_sum = top[2 * x] + top[2 * x + 1], bottom_sum = bottom[2 * x] + bottom[2 * x + 1];
      const int top_step = top[2 * x] - top[2 * x + 1], bottom_step = bottom[2 * x] - bottom[2 * x + 1];
      const int across = top_step + bottom_step, along = top_sum - bottom_sum, diagonal = top_step - bottom_step;
      out[x] = static_cast<std::int16_t>(top_sum + bottom_sum);
      energy += across * across + along * along + diagonal * diagonal;
    }
    sums.detail += energy;
  }
}

void add_half(const Halves& half, int height, int width, PictureSums& sums) {
  const auto row = [&](int y) { return half.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width); };
  for (int y = 1; y + 1 < height; ++y) {
    const std::int16_t *above = row(y - 1), *here = row(y), *below = row(y + 1);
    int second = 0;
    for (int x = 1; x + 1 < width; ++x)
      second += std::abs(4 * here[x] - 2 * (here[x - 1] + here[x + 1] + above[x] + below[x]) + above[x - 1] +
                         above[x + 1] + below[x - 1] + below[x + 1]);
    sums.half_second += second;
  }
  for (int y = 0; y + 1 < height; y += 2) {
    const std::int16_t *top = row(y), *bottom = row(y + 1);
    std::int64_t energy = 0;
    for (int x = 0; x + 1 < width; x += 2) {
      const int across = top[x] - top[x + 1] + bottom[x] - bottom[x + 1],
                along = top[x] + top[x + 1] - bottom[x] - bottom[x + 1];
      const int diagonal = top[x] - top[x + 1] - bottom[x] + bottom[x + 1];
      energy += static_cast<std::int64_t>(across) * across + static_cast<std::int64_t>(along) * along +
                static_cast<std::int64_t>(diagonal) * diagonal;
    }
    sums.half_detail += energy;
  }
}

}  // namespace

PictureSums picture_sums_portable(const ImageView& p) {
  PictureSums sums;
  for (int y = 0; y < p.height; ++y) {
    add_values(p.row(y), p.width, sums);
    add_row_jumps(p.row(y), p.width, sums);
    if (y + 1 < p.height) add_column_jumps(p.row(y), p.row(y + 1), p.width, y % 8 == 7, sums);
    if (y > 0 && y + 1 < p.height) add_interior(p.row(y - 1), p.row(y), p.row(y + 1), p.width, sums);
  }
  Halves half(static_cast<std::size_t>(p.height / 2) * static_cast<std::size_t>(p.width / 2));
  halve(p, half, sums);
  add_half(half, p.height / 2, p.width / 2, sums);
  return sums;
}

PictureSums picture_sums(const ImageView& picture) {
#if defined(__x86_64__)
  static const bool fast = [] {
    const char* const forced = std::getenv("BITPILOT_ISA");
    return has_avx2() && (forced == nullptr || std::string_view(forced) != "scalar");
  }();
  if (fast) return picture_sums_avx2(picture);
#endif
  return picture_sums_portable(picture);
}

}  // namespace bitpilot
