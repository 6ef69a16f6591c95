// The twelve statistics of a luma picture p of H x W pixels (values 0..255).  log = log2(1 + value).
//
//  0 sharpness          log  mean of l^2, l = 4-neighbour Laplacian, over interior pixels
//  1 noise_sigma        log  Immerkaer's sigma: sqrt(pi/2) / 6 * mean |m|, m = second difference across of second
//  difference along 2 noise_persistence  (sigma of the half-size picture + 1/2) / (sigma + 1/2): white noise halves,
//  texture stays 3 gradient           log  mean |d| of the forward differences d in both directions 4
//  gradient_peakedness  log2(mean d^2 / (mean |d|)^2), 0 on a flat picture: few strong edges against noise everywhere
//  5 blockiness         (mean |d| across 8-pixel borders + 1) / (mean |d| elsewhere + 1) - 1; tells of JPEG only where
//  the picture still
//                       stands on its original grid
//  6 contrast           standard deviation
//  7 range              98th - 2nd percentile
//  8 mean
//  9 entropy            Renyi entropy of order 2 of the 32-bin histogram, in bits: one logarithm instead of 32
// 10 isolated           log of the percentage of interior pixels above all four neighbours, or below all four, by more
// than 32 11 detail_ratio       log2((1 + e1) / (1 + e2)), e1, e2 = energy per coefficient of the first and second
// level of the Haar transform
//
// All sums are integers; each float32 below is one correctly rounded operation, so no compiler, libm or SIMD width
// changes a bit.
#include "data/image_statistics.h"

#include <bit>
#include <cmath>
#include <cstdlib>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr int kWidest = 2048;  // a row's sum of squared Laplacians stays below 2^31
constexpr int kIsolatedStep = 32;
constexpr float kImmerkaer = 0.20888568F;  // sqrt(pi / 2) / 6

struct Sums {
  std::int64_t laplacian_squares = 0, isolated = 0;
  std::int64_t jumps = 0, jump_squares = 0, border_jumps = 0;  // |d|, d^2, |d| across 8-pixel borders
  std::int64_t second = 0, half_second = 0;                    // Immerkaer sums, of the picture and of its 2 x 2 sums
  std::int64_t detail = 0, half_detail = 0;                    // squared Haar coefficients, times 4 and 16
};

/// log2 of a positive float32: exponent plus atanh series of the mantissa in [sqrt(1/2), sqrt(2)).
float log2_exact(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  int exponent = static_cast<int>(bits >> 23) - 127;
  float mantissa = std::bit_cast<float>((bits & 0x7fffffU) | 0x3f800000U);
  if (mantissa > 1.41421356F) {
    mantissa = mantissa * 0.5F;
    ++exponent;
  }
  const float s = (mantissa - 1.0F) / (mantissa + 1.0F);
  const float s2 = s * s;
  float series = 0.32059890F;  // 2 / (9 ln 2), 2 / (7 ln 2) …
  series = series * s2 + 0.41219859F;
  series = series * s2 + 0.57707802F;
  series = series * s2 + 0.96179669F;
  series = series * s2 + 2.88539008F;
  return static_cast<float>(exponent) + series * s;
}

float log_compressed(float value) { return log2_exact(1.0F + value); }
float ratio(std::int64_t sum, std::int64_t count) { return static_cast<float>(sum) / static_cast<float>(count); }

void add_row_jumps(const std::uint8_t* row, int width, Sums& sums) {
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

void add_column_jumps(const std::uint8_t* row, const std::uint8_t* below, int width, bool border, Sums& sums) {
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
                  Sums& sums) {
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

/// 2 x 2 sums of the picture, with the energy of the Haar details that they leave behind.
std::vector<std::int32_t> halve(const ImageView& p, Sums& sums) {
  const int height = p.height / 2, width = p.width / 2;
  std::vector<std::int32_t> half(static_cast<std::size_t>(height) * static_cast<std::size_t>(width));
  for (int y = 0; y < height; ++y) {
    const std::uint8_t *top = p.row(2 * y), *bottom = p.row(2 * y + 1);
    std::int32_t* out = half.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
    int energy = 0;
    for (int x = 0; x < width; ++x) {
      const int top_sum = top[2 * x] + top[2 * x + 1], bottom_sum = bottom[2 * x] + bottom[2 * x + 1];
      const int top_step = top[2 * x] - top[2 * x + 1], bottom_step = bottom[2 * x] - bottom[2 * x + 1];
      const int across = top_step + bottom_step, along = top_sum - bottom_sum, diagonal = top_step - bottom_step;
      out[x] = top_sum + bottom_sum;
      energy += across * across + along * along + diagonal * diagonal;
    }
    sums.detail += energy;
  }
  return half;
}

void add_half(const std::vector<std::int32_t>& half, int height, int width, Sums& sums) {
  const auto row = [&](int y) { return half.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width); };
  for (int y = 1; y + 1 < height; ++y) {
    const std::int32_t *above = row(y - 1), *here = row(y), *below = row(y + 1);
    int second = 0;
    for (int x = 1; x + 1 < width; ++x)
      second += std::abs(4 * here[x] - 2 * (here[x - 1] + here[x + 1] + above[x] + below[x]) + above[x - 1] +
                         above[x + 1] + below[x - 1] + below[x + 1]);
    sums.half_second += second;
  }
  for (int y = 0; y + 1 < height; y += 2) {
    const std::int32_t *top = row(y), *bottom = row(y + 1);
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

using Histogram = std::array<std::int32_t, 256>;

Histogram histogram(const ImageView& p) {
  std::array<Histogram, 2> counts{};  // two, so that equal neighbours do not wait for each other
  for (int y = 0; y < p.height; ++y) {
    const std::uint8_t* row = p.row(y);
    int x = 0;
    for (; x + 1 < p.width; x += 2) {
      ++counts[0][row[x]];
      ++counts[1][row[x + 1]];
    }
    if (x < p.width) ++counts[0][row[x]];
  }
  for (std::size_t v = 0; v < 256; ++v) counts[0][v] += counts[1][v];
  return counts[0];
}

int value_at_rank(const Histogram& counts, std::int64_t rank) {
  std::int64_t below = 0;
  for (int v = 0; v < 256; ++v) {
    below += counts[static_cast<std::size_t>(v)];
    if (below > rank) return v;
  }
  return 255;
}

PixelRange percentiles(const Histogram& counts, std::int64_t pixels) {
  return {value_at_rank(counts, (2 * (pixels - 1) + 50) / 100), value_at_rank(counts, (98 * (pixels - 1) + 50) / 100)};
}

void add_histogram_values(const Histogram& counts, std::int64_t pixels, const PixelRange& range,
                          std::array<float, kStatisticsCount>& values) {
  std::int64_t sum = 0, squares = 0, bin_squares = 0;
  for (std::size_t bin = 0; bin < 32; ++bin) {
    std::int64_t in_bin = 0;
    for (std::size_t v = 8 * bin; v < 8 * bin + 8; ++v) {
      const auto level = static_cast<std::int64_t>(v);
      in_bin += counts[v];
      sum += counts[v] * level;
      squares += counts[v] * level * level;
    }
    bin_squares += in_bin * in_bin;
  }
  values[6] = std::sqrt(static_cast<float>(pixels * squares - sum * sum)) / static_cast<float>(pixels);
  values[7] = static_cast<float>(range.high - range.low);
  values[8] = ratio(sum, pixels);
  values[9] = 2.0F * log2_exact(static_cast<float>(pixels)) - log2_exact(static_cast<float>(bin_squares));
}

void add_sum_values(const Sums& sums, std::int64_t height, std::int64_t width,
                    std::array<float, kStatisticsCount>& values) {
  const std::int64_t interior = (height - 2) * (width - 2), half_interior = (height / 2 - 2) * (width / 2 - 2);
  const std::int64_t border_pairs = (width - 1) / 8 * height + (height - 1) / 8 * width;
  const std::int64_t pairs = (width - 1) * height + (height - 1) * width;
  const float sigma = kImmerkaer * ratio(sums.second, interior);
  const float half_sigma = kImmerkaer * ratio(sums.half_second, 4 * half_interior);
  const float jump = ratio(sums.jumps, pairs);
  values[0] = log_compressed(ratio(sums.laplacian_squares, interior));
  values[1] = log_compressed(sigma);
  values[2] = (half_sigma + 0.5F) / (sigma + 0.5F);
  values[3] = log_compressed(jump);
  values[4] = sums.jumps == 0 ? 0.0F : log2_exact(ratio(sums.jump_squares, pairs) / (jump * jump));
  values[5] = border_pairs == 0 ? 0.0F
                                : (ratio(sums.border_jumps, border_pairs) + 1.0F) /
                                          (ratio(sums.jumps - sums.border_jumps, pairs - border_pairs) + 1.0F) -
                                      1.0F;
  values[10] = log_compressed(ratio(100 * sums.isolated, interior));
  const std::int64_t blocks = (height / 2) * (width / 2), half_blocks = (height / 4) * (width / 4);
  values[11] =
      log2_exact((1.0F + ratio(sums.detail, 12 * blocks)) / (1.0F + ratio(sums.half_detail, 48 * half_blocks)));
}

}  // namespace

const std::array<std::string, kStatisticsCount>& statistics_names() {
  static const std::array<std::string, kStatisticsCount> names{
      "sharpness", "noise_sigma", "noise_persistence", "gradient", "gradient_peakedness", "blockiness", "contrast",
      "range",     "mean",        "entropy",           "isolated", "detail_ratio"};
  return names;
}

ImageStatistics image_statistics(const ImageView& p, PixelRange* range) {
  if (p.channels != 1 || p.height < 8 || p.width < 8 || p.width > kWidest)
    throw Error(ExitCode::kBug,
                "image statistics of a " + std::to_string(p.height) + " x " + std::to_string(p.width) + " x " +
                    std::to_string(p.channels) + " picture",
                "image_statistics", "networks need one luma channel of 8 x 8 to 2048 pixels");
  Sums sums;
  for (int y = 0; y < p.height; ++y) {
    add_row_jumps(p.row(y), p.width, sums);
    if (y + 1 < p.height) add_column_jumps(p.row(y), p.row(y + 1), p.width, y % 8 == 7, sums);
    if (y > 0 && y + 1 < p.height) add_interior(p.row(y - 1), p.row(y), p.row(y + 1), p.width, sums);
  }
  add_half(halve(p, sums), p.height / 2, p.width / 2, sums);
  const Histogram counts = histogram(p);
  const std::int64_t pixels = static_cast<std::int64_t>(p.height) * p.width;
  const PixelRange taken = percentiles(counts, pixels);
  if (range != nullptr) *range = taken;
  ImageStatistics statistics;
  add_histogram_values(counts, pixels, taken, statistics.values);
  add_sum_values(sums, p.height, p.width, statistics.values);
  return statistics;
}

PixelRange pixel_range(const ImageView& luma) {
  return percentiles(histogram(luma), static_cast<std::int64_t>(luma.height) * luma.width);
}

double statistics_bops(int height, int width) {
  // Bits of what is added up, per pixel; rounded up to whole pixels (borders counted as interior).
  constexpr double kAccumulate = 32;  // every running sum
  constexpr double kJumps =
      2 * (9 + 9 + 9 * 9 + 2 * kAccumulate);  // d, |d|, d^2, two sums; both directions (border sums are parts of them)
  constexpr double kLaplacian = 4 * 9 + 3 * 11 + 11 * 11 + kAccumulate;  // differences, their sum, its square
  constexpr double kImmerkaerMask =
      3 * 10 + 2 * 12 + 12 + kAccumulate;  // corners, combination (doublings are shifts), absolute value
  constexpr double kIsolated = 6 * 9 + 2 * 9 + 1 + kAccumulate;  // minimum, maximum, two comparisons
  constexpr double kHistogram = 16;
  constexpr double kHaar = (5 * 9 + 3 * 10 + 3 * 10 * 10 + kAccumulate) / 4;  // per 2 x 2 block
  constexpr double kHalf =
      (8 * 14 + 14 + kAccumulate) / 4 + (8 * 12 + 3 * 12 * 12 + kAccumulate) / 16;  // mask per block, second Haar level
  constexpr double kBins = 256 * (2 * 16 + 16 * 8 + 16 * 16) + 32 * 16 * 16;        // percentile search, moments, bins
  constexpr double kLogarithm = 7 * 1024 + 7 * 32;
  constexpr double kFloats = 8 * kLogarithm + 30 * 1024 + 12 * 32;
  const double pixels = static_cast<double>(height) * width;
  return pixels * (kJumps + kLaplacian + kImmerkaerMask + kIsolated + kHistogram + kHaar + kHalf) + kBins + kFloats;
}

}  // namespace bitpilot
