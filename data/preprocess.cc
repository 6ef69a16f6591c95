#include "data/preprocess.h"

#include "data/preprocessor.h"

namespace bitpilot {

Prepared preprocess(const ImageView& src, const Shape& input, bool stretch, bool statistics) {
  Prepared prepared;
  Preprocessor().prepare(src, input, stretch, statistics, prepared);
  return prepared;
}

}  // namespace bitpilot
