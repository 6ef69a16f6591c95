#pragma once

#include <vector>

#include "data/image_statistics.h"
#include "runtime/core/image.h"
#include "runtime/core/network.h"

namespace bitpilot {

/// What the network and the policy see of one picture.
struct Prepared {
  std::vector<std::uint8_t> codes;  ///< u8 [height][width][channels] at network size, stretched; value = code / 255
  ImageStatistics statistics;       ///< of the luma at network size before stretching; none() if not asked for
};

/// To the net's channels (a gray net gets luma, a colour net a gray picture three times), resize to its size (area when
/// shrinking, linear when growing); lo/hi = 2nd/98th percentile of luma; one 256-entry table (identity if hi - lo < 8
/// or `stretch` is false).  `statistics` false: they are not taken, which changes no code.  Throws Error(kData) on an empty picture or one with channels other than 1 or 3.
Prepared preprocess(const ImageView& src, const Shape& input, bool stretch = true, bool statistics = true);

}  // namespace bitpilot
