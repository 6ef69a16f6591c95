#include "policy/small_network.h"

#include <torch/torch.h>

#include <cmath>
#include <numeric>

#include "policy/trainable_mlp.h"
#include "runtime/core/random.h"

namespace bitpilot {

RealMlp fit_regression(const Rows& inputs, const Rows& targets, const std::vector<float>& column_weight,
                       const FitOptions& options) {
  Random random(options.seed, "policy.start");
  std::vector<int> widths{inputs.columns};
  widths.insert(widths.end(), options.hidden.begin(), options.hidden.end());
  widths.push_back(targets.columns);
  const TrainableMlp network(widths, random, options.start_at_zero);
  torch::Tensor scale = torch::ones({targets.columns});
  for (std::size_t i = 0; i < column_weight.size(); ++i) scale[static_cast<std::int64_t>(i)] = column_weight[i];
  const torch::Tensor x = as_tensor(inputs), y = as_tensor(targets);
  torch::optim::AdamW optimizer(network.parameters,
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
          network.forward(x.index_select(0, rows), options.linear_at) - y.index_select(0, rows);
      (error.square() * scale).mean().backward();
      optimizer.step();
      ++step;
    }
  }
  return network.plain();
}

Rows evaluate_network(const RealMlp& network, const Rows& inputs, int linear_at) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor result = TrainableMlp::frozen(network).forward(as_tensor(inputs), linear_at).contiguous();
  return {network.back().outputs, {result.data_ptr<float>(), result.data_ptr<float>() + result.numel()}};
}

}  // namespace bitpilot
