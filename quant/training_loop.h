#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "quant/quantized_network.h"

namespace bitpilot {

/// One stage of training.  The float teacher, the supernet and the models trained alone all go through the same loop.
struct TrainingOptions {
  double learning_rate = 1.5e-3;  ///< peak of the one-cycle schedule (Adam)
  double warmup = 0.1;            ///< share of the steps that the rate rises in
  double label_share = 0.5;       ///< of the target; the rest is the teacher's distribution (temperature 1)
  bool in_place = false;          ///< true: the supernet's first path is the teacher of the others (in-place distillation)
  int random_paths = 0;           ///< free configurations drawn a step, beside the named paths
  int threads = 2;                ///< paths that run at once; the result does not depend on it
  std::vector<double> path_weights;  ///< of the losses, one a path; empty = 1
  std::uint64_t seed = 0;
};

/// One batch of training pictures: src float [N, C, H, W] in [0, 1], labels int64 [N].
struct TrainingBatch {
  torch::Tensor src, labels;
};

/// Optimiser, schedule and the step itself.  Paths run in parallel threads; their gradients are added in a fixed order.
class TrainingLoop {
 public:
  /// `teacher`: float network whose class scores are soft targets, may be nullptr.
  TrainingLoop(QuantizedNetwork* network, QuantizedNetwork* teacher, std::int64_t total_steps, TrainingOptions options);
  ~TrainingLoop();
  /// One optimiser step on `batch`.  `next` (may be empty) lets a free thread prepare the teacher's scores.  Returns each path's mean
  /// loss.  Throws Error(kBug) naming the path if a loss is not finite; nothing has been changed then.
  std::vector<double> step(const TrainingBatch& batch, const TrainingBatch& next);
  std::int64_t steps_done() const;
  /// The schedule's rate of the last step.
  double learning_rate() const;
  /// Optimiser moments and the step count, as tensors that a checkpoint stores and restores in place.
  NamedTensors state() const;
  void set_steps_done(std::int64_t steps);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Class scores of one path over a batch in evaluation mode.
torch::Tensor evaluate(QuantizedNetwork* network, int path, const torch::Tensor& src);

/// A configuration drawn uniformly from the space, layers of one width group alike; keyed by (seed, "random path", index).
BitConfig random_config(const Network& network, const BitSpace& space, const std::vector<PathSpec>& paths, std::uint64_t seed,
                        std::uint64_t index);

}  // namespace bitpilot
