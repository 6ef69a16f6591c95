#pragma once

#include <torch/torch.h>

#include <functional>
#include <vector>

#include "quant/quantized_network.h"
#include "runtime/format/model_data.h"

namespace bitpilot {

/// Calibration pictures in batches: calls `use` once per batch with float [N, C, H, W] in [0, 1].
using CalibrationBatches = std::function<void(const std::function<void(const torch::Tensor&)>& use)>;

/// Recalibrates the normalisation of the stem and of every path on its own activations (cumulative averages over the batches), the same
/// pictures for all.  Source: Guo et al., Single Path One-Shot, arXiv:1904.00420.
void recalibrate(QuantizedNetwork* network, const CalibrationBatches& batches);

/// The integer model: every path an anchor.  Weights become nested 8-bit codes, or where the network's quantizers have codes of their own
/// those, at the one width that all paths must then have.  Normalisation is folded into multipliers and offsets, the carries' steps are
/// searched on `batches` (first batch).  Leaves policy, labels, budget and provenance empty.  A Form's granularity is not read here: scales
/// hold the normalisation, so they differ from filter to filter until share_scales() makes one of them.
/// Throws Error(kData) if paths differ in the width of a layer with codes of its own.
ModelData export_model(QuantizedNetwork* network, const CalibrationBatches& batches);

}  // namespace bitpilot
