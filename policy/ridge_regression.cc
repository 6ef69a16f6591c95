#include "policy/ridge_regression.h"

#include <torch/torch.h>

#include "policy/trainable_mlp.h"

namespace bitpilot {

RealMlp fit_ridge_regression(const Rows& inputs, const Rows& targets, double ridge) {
  const torch::NoGradGuard no_grad;
  const std::int64_t width = inputs.columns;
  const torch::Tensor ones = torch::ones({static_cast<std::int64_t>(inputs.count()), 1});
  const torch::Tensor x = torch::cat({as_tensor(inputs), ones}, 1).to(torch::kFloat64), y = as_tensor(targets).to(torch::kFloat64);
  const torch::Tensor added = torch::full({width + 1}, ridge, torch::kFloat64);
  added[width] = 0;
  const torch::Tensor solved = torch::linalg_solve(x.t().mm(x) + added.diag(), x.t().mm(y)).to(torch::kFloat32);
  TrainableMlp layer;
  layer.parameters = {solved.slice(0, 0, width).t(), solved[width]};
  return layer.plain();
}

}  // namespace bitpilot
