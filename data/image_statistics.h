#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/image.h"

namespace bitpilot {

inline constexpr int kStatisticsCount = 12;

/// Blind image statistics of a luma picture at network size, before stretching: integer sums, then float32 in a fixed order, so they are
/// the same on every machine.  Set and formulas: docs of image_statistics.cc.
struct ImageStatistics {
  std::array<float, kStatisticsCount> values{};
};

const std::array<std::string, kStatisticsCount>& statistics_names();
/// `luma`: one channel.  Throws Error(kBug) below 8 x 8 pixels.
ImageStatistics image_statistics(const ImageView& luma);
/// Operations of image_statistics at this size in BOPs (8-bit adds and multiplies, counted per formula).
double statistics_bops(int height, int width);

}  // namespace bitpilot
