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
#include <cstring>

#include "data/picture_sums.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr float kImmerkaer = 0.20888568F;  // sqrt(pi / 2) / 6

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

using Histogram = std::array<std::int32_t, 256>;
constexpr std::size_t kBinCount = 32, kBinValues = 8;

/// Counts of the values, and of the kBinCount runs of kBinValues of them.
struct Counts {
  Histogram values;
  std::array<std::int32_t, kBinCount> bins{};
};

/// Eight tables, so that equal neighbours, such as those of a background, do not wait for each other.
void count_row(const std::uint8_t* row, int width, std::array<Histogram, 8>& tables) {
  int x = 0;
  for (; x + 8 <= width; x += 8) {
    std::uint64_t pixels;
    std::memcpy(&pixels, row + x, sizeof(pixels));
    for (std::size_t t = 0; t < 8; ++t) ++tables[t][pixels >> (8 * t) & 255];
  }
  for (; x < width; ++x) ++tables[static_cast<std::size_t>(x % 8)][row[x]];
}

Counts count(const ImageView& p) {
  std::array<Histogram, 8> tables{};
  for (int y = 0; y < p.height; ++y) count_row(p.row(y), p.width, tables);
  Counts counts;
  for (std::size_t v = 0; v < 256; ++v)
    counts.values[v] = tables[0][v] + tables[1][v] + tables[2][v] + tables[3][v] + tables[4][v] + tables[5][v] +
                       tables[6][v] + tables[7][v];
  for (std::size_t v = 0; v < 256; ++v) counts.bins[v / kBinValues] += counts.values[v];
  return counts;
}

int value_at_rank(const Counts& counts, std::int64_t rank) {
  std::int64_t below = 0;
  std::size_t bin = 0;
  while (bin + 1 < kBinCount && below + counts.bins[bin] <= rank) below += counts.bins[bin++];
  for (std::size_t v = kBinValues * bin; v < kBinValues * (bin + 1); ++v) {
    below += counts.values[v];
    if (below > rank) return static_cast<int>(v);
  }
  return 255;
}

PixelRange percentiles(const Counts& counts, std::int64_t pixels) {
  return {value_at_rank(counts, (2 * (pixels - 1) + 50) / 100), value_at_rank(counts, (98 * (pixels - 1) + 50) / 100)};
}

void add_histogram_values(const Counts& counts, const PictureSums& sums, std::int64_t pixels, const PixelRange& range,
                          std::array<float, kStatisticsCount>& values) {
  std::int64_t bin_squares = 0;
  for (const std::int64_t in_bin : counts.bins) bin_squares += in_bin * in_bin;
  values[6] =
      std::sqrt(static_cast<float>(pixels * sums.squares - sums.values * sums.values)) / static_cast<float>(pixels);
  values[7] = static_cast<float>(range.high - range.low);
  values[8] = ratio(sums.values, pixels);
  values[9] = 2.0F * log2_exact(static_cast<float>(pixels)) - log2_exact(static_cast<float>(bin_squares));
}

void add_sum_values(const PictureSums& sums, std::int64_t height, std::int64_t width,
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
  if (p.channels != 1 || p.height < 8 || p.width < 8 || p.width > kWidestSummed)
    throw Error(ExitCode::kData,
                "image statistics of a " + std::to_string(p.height) + " x " + std::to_string(p.width) + " x " +
                    std::to_string(p.channels) + " picture",
                "image_statistics", "networks need one luma channel of 8 x 8 to 2048 pixels, or --guard off and no policy");
  const PictureSums sums = picture_sums(p);
  const Counts counts = count(p);
  const std::int64_t pixels = static_cast<std::int64_t>(p.height) * p.width;
  const PixelRange taken = percentiles(counts, pixels);
  if (range != nullptr) *range = taken;
  ImageStatistics statistics;
  add_histogram_values(counts, sums, pixels, taken, statistics.values);
  add_sum_values(sums, p.height, p.width, statistics.values);
  return statistics;
}

PixelRange pixel_range(const ImageView& luma) {
  return percentiles(count(luma), static_cast<std::int64_t>(luma.height) * luma.width);
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
