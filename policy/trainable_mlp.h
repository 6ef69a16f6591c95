#pragma once

#include <torch/torch.h>

#include <vector>

#include "policy/small_network.h"
#include "runtime/core/random.h"

namespace bitpilot {

/// A small ReLU network while it is trained: a RealMlp as leaves of a gradient graph.
struct TrainableMlp {
  std::vector<torch::Tensor> parameters;  ///< of each layer in turn: weight [out, in], bias [out]

  TrainableMlp() = default;
  /// `widths`: inputs, hidden layers, outputs.  He-uniform start from the caller's keyed stream, biases 0; `zero_end`: the
  /// last layer starts at 0, so that the network starts as "no opinion".
  TrainableMlp(const std::vector<int>& widths, Random& random, bool zero_end);
  /// A network that shares its numbers with `network`, without gradients; `network` must outlive it.
  static TrainableMlp frozen(const RealMlp& network);

  /// x f32 [N, inputs] -> [N, outputs].  ReLU between layers, none behind layer `linear_at` or the last.
  torch::Tensor forward(torch::Tensor x, int linear_at = -1) const;
  RealMlp plain() const;
};

/// f32 [rows, columns], a view of `rows`.
torch::Tensor as_tensor(const Rows& rows);

/// Half a cosine from `rate` at share 0 of the training to 0 at share 1, set in every group of an Adam optimiser.
void set_cosine_rate(torch::optim::Adam& optimizer, double rate, double share);

}  // namespace bitpilot
