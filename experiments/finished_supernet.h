#pragma once

#include <memory>
#include <string>

#include "data/image_set.h"
#include "experiments/recipe.h"
#include "quant/quantized_network.h"

namespace bitpilot {

/// The supernet of a finished run as it was exported: its last checkpoint, recalibrated on the run's own pictures.  What the
/// simulator needs after the training's end.  Throws Error(kData) if the folder has no checkpoint that fits its recipe.
std::unique_ptr<QuantizedNetwork> read_supernet(const std::string& run, const Recipe& recipe, const DataSplits& splits);

}  // namespace bitpilot
