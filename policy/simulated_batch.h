#pragma once

#include <torch/torch.h>

#include <vector>

#include "env/outcomes.h"

namespace bitpilot {

/// Prepared pictures as the simulator takes them.
struct SimulatedBatch {
  torch::Tensor pictures;  ///< u8 [N, C, H, W]
  torch::Tensor labels;    ///< i64 [N]
};
SimulatedBatch simulated_batch(const Shape& input, const SampleAt& sample_at, const std::vector<std::size_t>& rows);

}  // namespace bitpilot
