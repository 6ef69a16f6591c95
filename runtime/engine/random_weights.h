#pragma once

#include <cstdint>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// A model over `network` with random weights whose values neither vanish nor saturate: for timing networks that nobody
/// has trained.  Symmetric weights, 2..8 bits offered everywhere; anchors u8, u4, u2 (uniform) and half8, half2 (half
/// of the filter blocks).  The same seed gives the same model.
ModelData random_weights(const Network& network, std::uint64_t seed = 1);

}  // namespace bitpilot
