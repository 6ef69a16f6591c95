#pragma once

#include "data/preprocess.h"
#include "data/resize.h"

namespace bitpilot {

/// preprocess() of one picture after another with memory that is kept: pictures no larger than those before, resized or not, cost no
/// allocation.  (Statistics of networks whose pictures are wider or higher than kSideOnStack pixels do.)  Not thread-safe.
class Preprocessor {
 public:
  /// Fills `prepared`, whatever it holds, with what preprocess() returns, and throws what that throws.
  void prepare(const ImageView& src, const Shape& input, bool stretch, bool statistics, Prepared& prepared);

 private:
  /// `src` at the network's size, of one channel where either has but one.
  ImageView sized(const ImageView& src, const Shape& input);
  ImageView gray(const ImageView& picture);

  Resizer resizer_;
  Image sized_, gray_;
};

}  // namespace bitpilot
