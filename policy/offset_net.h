#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "policy/export.h"
#include "runtime/core/random.h"

namespace bitpilot {

/// Uniform in (0, 1), f32 of this shape.
torch::Tensor random_tensor(std::vector<std::int64_t> shape, Random& random);

/// What learn_offsets learns: a network [embedding, lambda] -> offsets in ladder steps of every layer's weights and activations, 0 at the
/// start, and one spread per layer and tensor.
struct OffsetNet {
  std::vector<torch::Tensor> parameters;  ///< weights and bias of two layers
  torch::Tensor raw_spread;               ///< f32 [L, 2]

  OffsetNet(std::int64_t inputs, std::int64_t layers, std::uint64_t seed);
  torch::Tensor offsets(const torch::Tensor& x) const;  ///< x f32 [N, inputs] -> [N, L, 2]
  torch::Tensor spread() const;                         ///< f32 [L, 2], at least 0.05
  RealMlp real() const;                                 ///< the network in plain numbers
};

}  // namespace bitpilot
