#pragma once

#include "runtime/core/image.h"

namespace bitpilot {

/// Resized copy, each axis on its own: area average when shrinking, linear (pixel centres, edge replicated) when
/// growing, untouched when equal.  Weights are exact integers and the one rounding is half up, so the bytes are the
/// same on every machine.
Image resize(const ImageView& src, int height, int width);
/// resize(luma(src)) without the whole picture's luma in between.
Image resize_luma(const ImageView& src, int height, int width);
/// Luma of a 3-channel picture (BT.601, 14-bit fixed point, half up); a gray picture as it is.  An equal triple gives
/// its value.
Image luma(const ImageView& src);

}  // namespace bitpilot
