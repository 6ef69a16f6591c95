#pragma once

#include <cstdint>
#include <vector>

namespace bitpilot {

/// The codes of one output of one fused step, for comparing engines: channels (active only) x height x width, after the
/// pool if it acts on codes.
struct CodeTrace {
  int step = -1;    ///< index in fuse()
  int reader = -1;  ///< weight layer that reads these codes, -1 = the 8-bit carry
  int bits = 8;
  std::vector<std::uint8_t> codes;
  bool operator==(const CodeTrace&) const = default;
};

}  // namespace bitpilot
