#pragma once

#include <cstddef>
#include <vector>

#include "runtime/core/bit_width.h"
#include "runtime/core/fusion.h"

namespace bitpilot {

/// Which of `candidates` lends its parameters to `layer` of a configuration that may be none of them: the one of smallest
/// |log2(w/w')| + |log2(a/a')| + 4 * |blocks - blocks'| / blocks in that layer.  Where several are as near (the classifier has one
/// setting in all of them) the nearest one in the layer whose value it reads counts, then in all layers together, then the first.  So a
/// candidate's own configuration gets that candidate everywhere.
///   steps       fuse() of the network
///   candidates  nullptr = not to be taken
/// Returns its index; throws Error(kBug) if every candidate is nullptr.
std::size_t nearest_config(const BitConfig& config, int layer, const std::vector<FusedStep>& steps, const BitSpace& space,
                           const std::vector<const BitConfig*>& candidates);

}  // namespace bitpilot
