#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "runtime/core/image.h"

namespace bitpilot {

inline constexpr int kStatisticsCount = 12;

/// Blind image statistics of a luma picture at network size, before stretching: integer sums, then float32 in a fixed
/// order, so they are the same on every machine.  Set and formulas: docs of image_statistics.cc.
struct ImageStatistics {
  std::array<float, kStatisticsCount> values{};
  /// Not taken: not a number, all of them.
  static ImageStatistics none() {
    ImageStatistics statistics;
    statistics.values.fill(std::numeric_limits<float>::quiet_NaN());
    return statistics;
  }
};

/// lo / hi = 2nd / 98th percentile of luma: the pixels at ranks floor((2 (N - 1) + 50) / 100) and floor((98 (N - 1) +
/// 50) / 100), counted from 0, of the N pixels in ascending order.
struct PixelRange {
  int low = 0, high = 255;
};

const std::array<std::string, kStatisticsCount>& statistics_names();
/// `luma`: one channel.  `range`, if given, receives the percentiles (from the same histogram).
/// Throws Error(kData) below 8 x 8 pixels or wider than 2,048.
ImageStatistics image_statistics(const ImageView& luma, PixelRange* range = nullptr);
/// The percentiles alone, of any size.
PixelRange pixel_range(const ImageView& luma);
/// Operations of image_statistics at this size in BOPs: a multiply-accumulate of p by q bits counts p * q, an add,
/// subtraction, comparison or histogram step counts the bits of its result, a float32 multiply, divide or root 32 * 32
/// and a float32 add 32.
double statistics_bops(int height, int width);

}  // namespace bitpilot
