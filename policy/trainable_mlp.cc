#include "policy/trainable_mlp.h"

#include <cmath>
#include <numbers>

namespace bitpilot {
namespace {

torch::Tensor start_weights(int outputs, int inputs, Random& random, bool zero) {
  torch::Tensor weights = torch::zeros({outputs, inputs});
  if (zero) return weights;
  const double bound = std::sqrt(6.0 / inputs) * 0.7;
  float* data = weights.data_ptr<float>();
  for (int i = 0; i < outputs * inputs; ++i) data[i] = static_cast<float>(random.uniform(-bound, bound));
  return weights;
}

std::vector<float> values_of(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.detach().contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

torch::Tensor view_of(const std::vector<float>& values, std::vector<std::int64_t> shape) {
  return torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat32);
}

}  // namespace

TrainableMlp::TrainableMlp(const std::vector<int>& widths, Random& random, bool zero_end) {
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    const bool zero = zero_end && i + 2 == widths.size();
    parameters.push_back(start_weights(widths[i + 1], widths[i], random, zero).requires_grad_(true));
    parameters.push_back(torch::zeros({widths[i + 1]}).requires_grad_(true));
  }
}

TrainableMlp TrainableMlp::frozen(const RealMlp& network) {
  TrainableMlp result;
  for (const RealLayer& layer : network) {
    result.parameters.push_back(view_of(layer.weights, {layer.outputs, layer.inputs}));
    result.parameters.push_back(view_of(layer.bias, {layer.outputs}));
  }
  return result;
}

torch::Tensor TrainableMlp::forward(torch::Tensor x, int linear_at) const {
  const std::size_t layers = parameters.size() / 2;
  for (std::size_t i = 0; i < layers; ++i) {
    x = torch::addmm(parameters[2 * i + 1], x, parameters[2 * i].t());
    if (i + 1 < layers && static_cast<int>(i) != linear_at) x = torch::relu(x);
  }
  return x;
}

RealMlp TrainableMlp::plain() const {
  RealMlp network;
  for (std::size_t i = 0; i < parameters.size(); i += 2) {
    network.push_back({static_cast<int>(parameters[i].size(1)), static_cast<int>(parameters[i].size(0)),
                       values_of(parameters[i]), values_of(parameters[i + 1])});
  }
  return network;
}

torch::Tensor as_tensor(const Rows& rows) {
  return view_of(rows.values, {static_cast<std::int64_t>(rows.count()), rows.columns});
}

void set_cosine_rate(torch::optim::Adam& optimizer, double rate, double share) {
  const double now = rate * (0.5 + 0.5 * std::cos(std::numbers::pi * share));
  for (auto& group : optimizer.param_groups()) static_cast<torch::optim::AdamOptions&>(group.options()).lr(now);
}

}  // namespace bitpilot
