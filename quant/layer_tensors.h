#pragma once

#include <string>

#include "quant/quantizers.h"

namespace bitpilot {

/// The tensor called `name`, as "block1.conv1.weight".  Throws Error(kBug) if there is none.
const torch::Tensor& tensor_named(const NamedTensors& tensors, const std::string& name);

/// `values` of one a filter [O], or of one in all [1], shaped to broadcast against a weight [O, …].
torch::Tensor by_filter(const torch::Tensor& values, const torch::Tensor& weight);

}  // namespace bitpilot
