#pragma once

#include <cstdint>

#include "runtime/core/image.h"

namespace bitpilot {

/// Integer sums over a picture of one channel, at least 8 x 8 pixels and at most kWidestSummed wide, that its
/// statistics are made of.  d: forward difference in either direction.
struct PictureSums {
  std::int64_t values = 0, squares = 0;                        ///< of the pixels
  std::int64_t laplacian_squares = 0, isolated = 0;            ///< over interior pixels
  std::int64_t jumps = 0, jump_squares = 0, border_jumps = 0;  ///< |d|, d^2, |d| across 8-pixel borders
  std::int64_t second = 0, half_second = 0;                    ///< Immerkaer sums, of the picture and of its 2 x 2 sums
  std::int64_t detail = 0, half_detail = 0;                    ///< squared Haar coefficients, times 4 and 16
  bool operator==(const PictureSums&) const = default;
};
inline constexpr int kWidestSummed = 2048;  // a row's sum of squared Laplacians stays below 2^31
/// A pixel is isolated if it differs from all four neighbours, in one direction, by more than that.
inline constexpr int kIsolatedStep = 32;

/// Pictures of up to that many pixels a side are summed without memory of the heap: every network's, as a rule.
inline constexpr int kSideOnStack = 256;

/// The fastest way that this processor has; BITPILOT_ISA=scalar takes the portable one.
PictureSums picture_sums(const ImageView& picture);
PictureSums picture_sums_portable(const ImageView& picture);
#if defined(__x86_64__)
bool has_avx2();
/// The same sums.  Needs has_avx2().
PictureSums picture_sums_avx2(const ImageView& picture);
#endif

}  // namespace bitpilot
