#pragma once

#include <functional>
#include <vector>

#include "runtime/format/model_data.h"
#include "runtime/kernels/kernels.h"
#include "runtime/profile.h"

namespace bitpilot {

/// Times every kernel that can run each layer, in turns, at every setting that the model offers: the least of three blocks'
/// medians.  Settings and layers that make the same kernels do the same work are timed once; of a layer with many filter
/// blocks a few widths are, each with the whole of its input and with half.  `progress` is told the layers done.
std::vector<ProfileEntry> measure_profile(const ModelData& model, const Kernels& kernels, int threads,
                                          const std::function<void(int)>& progress);

/// Of a policy with every network that one priced in time can have, on a made-up picture; all 0 for pictures that have neither 1 nor 3
/// channels, which have no statistics.
DecidingTimes measure_deciding(const ModelData& model, const Kernels& kernels);

}  // namespace bitpilot
