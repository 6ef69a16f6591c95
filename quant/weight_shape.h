#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "quant/training_loop.h"

namespace bitpilot {

/// Third and fourth standardised moments of a tensor (population deviation, in double); a normal distribution has 0 and 3, a uniform one
/// 0 and 1.8.
struct WeightShape {
  double skewness = 0, kurtosis = 0;
};
WeightShape weight_shape(const torch::Tensor& weight);

/// Weight distribution regularisation:  skewness_strength * skewness^2 + kurtosis_strength * (kurtosis - 1.8)^2.
/// Towards a uniform distribution, of which every step size of every bit-width wastes least.
/// Source    EQ-Net, arXiv:2308.07650, equations 4-6; kurtosis alone: KURE, arXiv:2002.07686.
struct ShapeStrengths {
  double skewness = 0.1, kurtosis = 0.01;  ///< our choice for small networks (the source: 1 and 0.015)
};
double shape_loss(const torch::Tensor& weight, const ShapeStrengths& strengths);
/// Its gradient, as the weight, in double.  Zero for a tensor of equal values.
torch::Tensor shape_gradient(const torch::Tensor& weight, const ShapeStrengths& strengths);

/// Adds the mean over `layers` of the loss to a step's gradients.  Tensors of fewer than 64 weights are left out: their moments say nothing.
/// layers    names of weight layers (the sources leave the first one out).
GradientHook shape_regulariser(std::vector<std::string> layers, const ShapeStrengths& strengths);

}  // namespace bitpilot
