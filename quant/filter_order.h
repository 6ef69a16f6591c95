#pragma once

#include <torch/torch.h>

#include <vector>

#include "quant/quantized_network.h"

namespace bitpilot {

/// Moves every layer's filters, with their readers' inputs, steps and normalisations: filter i becomes what orders[layer][i] was.  The
/// network computes what it did before.  orders: i64 [layer][out], equal in a width group; the classifier's is not read.  Throws
/// Error(kBug) if a path has fewer filters.
void order_filters(QuantizedNetwork* network, const std::vector<torch::Tensor>& orders);

}  // namespace bitpilot
