#pragma once

#include <memory>

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
/// The same into a picture that is there already, whatever its size: it grows where it must.
void luma(const ImageView& src, Image& dst);

/// resize() and resize_luma() of one picture after another with memory that is kept: pictures and results no larger than those before cost
/// no allocation.  Not thread-safe.
class Resizer {
 public:
  Resizer();
  ~Resizer();
  Resizer(Resizer&&) noexcept;
  void resize(const ImageView& src, int height, int width, Image& dst);
  void resize_luma(const ImageView& src, int height, int width, Image& dst);

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace bitpilot
