#include "quant/weight_shape.h"

#include <algorithm>

namespace bitpilot {

using torch::Tensor;

namespace {

constexpr double kUniformKurtosis = 1.8;
constexpr std::int64_t kFewest = 64;

struct Standardised {
  Tensor u;  // (w - mean) / deviation, flat
  double deviation = 0, skewness = 0, kurtosis = 0;
};

Standardised standardise(const Tensor& weight) {
  torch::NoGradGuard guard;
  Standardised s;
  const Tensor w = weight.detach().flatten().to(torch::kDouble), centred = w - w.mean();
  s.deviation = std::sqrt(centred.square().mean().item<double>());
  if (!(s.deviation > 0)) return s;
  s.u = centred / s.deviation;
  s.skewness = s.u.pow(3).mean().item<double>();
  s.kurtosis = s.u.pow(4).mean().item<double>();
  return s;
}

}  // namespace

WeightShape weight_shape(const Tensor& weight) {
  const Standardised s = standardise(weight);
  return {s.skewness, s.kurtosis};
}

double shape_loss(const Tensor& weight, const ShapeStrengths& strengths) {
  const Standardised s = standardise(weight);
  const double excess = s.kurtosis - kUniformKurtosis;
  return strengths.skewness * s.skewness * s.skewness + strengths.kurtosis * excess * excess;
}

Tensor shape_gradient(const Tensor& weight, const ShapeStrengths& strengths) {
  const Standardised s = standardise(weight);
  if (!(s.deviation > 0)) return torch::zeros_like(weight, torch::kDouble);
  const double unit = 1 / (static_cast<double>(weight.numel()) * s.deviation);
  const Tensor skewness = 3 * unit * (s.u.square() - 1 - s.skewness * s.u);
  const Tensor kurtosis = 4 * unit * (s.u.pow(3) - s.skewness - s.kurtosis * s.u);
  const Tensor gradient = 2 * strengths.skewness * s.skewness * skewness + 2 * strengths.kurtosis * (s.kurtosis - kUniformKurtosis) * kurtosis;
  return gradient.view(weight.sizes());
}

GradientHook shape_regulariser(std::vector<std::string> layers, const ShapeStrengths& strengths) {
  for (std::string& layer : layers) layer += ".weight";
  return [layers = std::move(layers), strengths](std::int64_t, const NamedTensors& parameters, std::vector<Tensor>* gradients) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto& [name, weight] = parameters[i];
      if (weight.numel() < kFewest || std::find(layers.begin(), layers.end(), name) == layers.end()) continue;
      const Tensor gradient = (shape_gradient(weight, strengths) / static_cast<double>(layers.size())).to(weight.dtype());
      Tensor& sum = (*gradients)[i];
      sum = sum.defined() ? sum + gradient : gradient;
    }
  };
}

}  // namespace bitpilot
