#include "policy/small_network.h"

#include <torch/torch.h>

#include <cmath>
#include <numeric>

#include "runtime/core/random.h"

namespace bitpilot {
namespace {

torch::Tensor as_tensor(const Rows& rows) {
  return torch::from_blob(const_cast<float*>(rows.values.data()),
                          {static_cast<std::int64_t>(rows.count()), rows.columns}, torch::kFloat32);
}

/// He-uniform start from our own keyed stream.
torch::Tensor start_weights(int outputs, int inputs, Random& random, bool zero) {
  torch::Tensor weights = torch::zeros({outputs, inputs});
  if (zero) return weights;
  const double bound = std::sqrt(6.0 / inputs) * 0.7;
  float* data = weights.data_ptr<float>();
  for (int i = 0; i < outputs * inputs; ++i) data[i] = static_cast<float>(random.uniform(-bound, bound));
  return weights;
}

torch::Tensor forward(const std::vector<torch::Tensor>& parameters, torch::Tensor x, int linear_at) {
  const std::size_t layers = parameters.size() / 2;
  for (std::size_t i = 0; i < layers; ++i) {
    x = torch::addmm(parameters[2 * i + 1], x, parameters[2 * i].t());
    if (i + 1 < layers && static_cast<int>(i) != linear_at) x = torch::relu(x);
  }
  return x;
}

std::vector<float> values_of(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.detach().contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

}  // namespace

RealMlp fit_regression(const Rows& inputs, const Rows& targets, const std::vector<float>& column_weight,
                       const FitOptions& options) {
  Random random(options.seed, "policy.start");
  std::vector<int> widths{inputs.columns};
  widths.insert(widths.end(), options.hidden.begin(), options.hidden.end());
  widths.push_back(targets.columns);
  std::vector<torch::Tensor> parameters;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    const bool zero = options.start_at_zero && i + 2 == widths.size();
    parameters.push_back(start_weights(widths[i + 1], widths[i], random, zero).requires_grad_(true));
    parameters.push_back(torch::zeros({widths[i + 1]}).requires_grad_(true));
  }
  torch::Tensor scale = torch::ones({targets.columns});
  for (std::size_t i = 0; i < column_weight.size(); ++i) scale[static_cast<std::int64_t>(i)] = column_weight[i];
  const torch::Tensor x = as_tensor(inputs), y = as_tensor(targets);
  torch::optim::AdamW optimizer(parameters,
                                torch::optim::AdamWOptions(options.learning_rate).weight_decay(options.weight_decay));
  std::vector<std::int64_t> order(inputs.count());
  const auto batch = static_cast<std::size_t>(options.batch);
  const std::size_t steps_per_epoch = (order.size() + batch - 1) / batch;
  const double steps = static_cast<double>(steps_per_epoch) * options.epochs;
  double step = 0;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    std::iota(order.begin(), order.end(), 0);
    Random shuffle(options.seed, "policy.order", static_cast<std::uint64_t>(epoch));
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[shuffle.below(i)]);
    for (std::size_t from = 0; from < order.size(); from += batch) {
      const std::size_t count = std::min(batch, order.size() - from);
      const torch::Tensor rows =
          torch::from_blob(order.data() + from, {static_cast<std::int64_t>(count)}, torch::kInt64);
      const double warm = std::min(1.0, (step + 1) / std::max(1.0, 0.05 * steps));
      const double rate = options.learning_rate * warm * (0.5 + 0.5 * std::cos(3.14159265 * step / steps));
      static_cast<torch::optim::AdamWOptions&>(optimizer.param_groups()[0].options()).lr(rate);
      optimizer.zero_grad();
      const torch::Tensor error =
          forward(parameters, x.index_select(0, rows), options.linear_at) - y.index_select(0, rows);
      (error.square() * scale).mean().backward();
      optimizer.step();
      ++step;
    }
  }
  RealMlp result;
  for (std::size_t i = 0; i < parameters.size(); i += 2) {
    result.push_back({static_cast<int>(parameters[i].size(1)), static_cast<int>(parameters[i].size(0)),
                      values_of(parameters[i]), values_of(parameters[i + 1])});
  }
  return result;
}

Rows evaluate_network(const RealMlp& network, const Rows& inputs, int linear_at) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> parameters;
  for (const RealLayer& layer : network) {
    parameters.push_back(
        torch::from_blob(const_cast<float*>(layer.weights.data()), {layer.outputs, layer.inputs}, torch::kFloat32));
    parameters.push_back(torch::from_blob(const_cast<float*>(layer.bias.data()), {layer.outputs}, torch::kFloat32));
  }
  return {network.back().outputs, values_of(forward(parameters, as_tensor(inputs), linear_at))};
}

}  // namespace bitpilot
