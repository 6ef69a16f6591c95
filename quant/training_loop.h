#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "quant/quantized_network.h"

namespace bitpilot {

/// Which of the named paths each picture is trained for, decided from what the paths said of it.
/// step    of the stage, 0 on: with the scores the only thing that the shares may depend on, so that a resumed run repeats them
/// scores  f32 [N, classes] of each path, detached
/// labels  i64 [N]
/// Returns f32 [paths, N], not negative; a picture's shares sum to 1.
using PathShares = std::function<torch::Tensor(std::int64_t step, const std::vector<torch::Tensor>& scores, const torch::Tensor& labels)>;

/// What a pass that owns no normalisation is trained with, beside the named paths.
struct FreePath {
  BitConfig config;
  std::shared_ptr<const Quantizers> quantizers;  ///< nullptr: the network's own
  std::vector<int> imitated;                     ///< layers whose normalised output is drawn towards the first trained path's
};
/// Free path number `index` (counted over the whole stage); must depend on nothing else but what a checkpoint holds, so that a resumed
/// run repeats it.
using FreePaths = std::function<FreePath(std::uint64_t index)>;

/// May add to the gradients of a step before the optimiser reads them: a regulariser that works on the weights, a limit on their size.
/// step        of the stage, 0 on
/// parameters  of the network, in order
/// gradients   of the loss, one a parameter; undefined where the loss does not depend on it
using GradientHook = std::function<void(std::int64_t step, const NamedTensors& parameters, std::vector<torch::Tensor>* gradients)>;

/// Every gradient into [-limit, limit].
GradientHook clip_gradients(double limit);

/// Who a path learns from, beside the labels.
enum class Teaching {
  kTeacher,   ///< the float network
  kFirst,     ///< the first of the trained paths (in-place distillation), which answers to the labels and the float network
  kPrevious,  ///< the path before it, the first one as above (EQ-Net's chain)
};

/// One stage of training.  The float teacher, the supernet and the models trained alone all go through the same loop.
struct TrainingOptions {
  double learning_rate = 1.5e-3;  ///< peak of the one-cycle schedule (Adam)
  double warmup = 0.1;            ///< share of the steps that the rate rises in
  double label_share = 0.5;       ///< of the target; the rest is the teacher's distribution (temperature 1)
  std::vector<int> paths;         ///< indices of the paths that are trained; empty = all
  Teaching teaching = Teaching::kTeacher;
  int random_paths = 0;           ///< free configurations a step, beside the named paths
  FreePaths free_paths;           ///< which; empty: drawn uniformly from the space
  double imitation = 0;           ///< weight of a free path's imitated layers: of the mean squared difference of each
  std::function<void(std::int64_t step)> begin_step;  ///< before each step's passes, the first of a resumed run too; empty: nothing
  GradientHook shape_gradients;   ///< empty: the optimiser reads the gradients as they are
  int threads = 2;                ///< paths that run at once; the result does not depend on it
  std::vector<double> path_weights;  ///< of the losses, one a trained path; empty = 1
  PathShares path_shares;            ///< empty: every picture counts fully on every path
  std::int64_t shares_from = 0;      ///< first step that path_shares rules
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
  /// One optimiser step on `batch`.  `next` (may be empty) lets a free thread prepare the teacher's scores.  Returns each trained path's
  /// mean loss, every picture counted alike.  With path_shares a path's loss is the sum over pictures of share x loss, times paths / N: equal
  /// shares weigh as none do.  Throws Error(kBug) naming the path if a loss is not finite, or if shares are none; nothing has been
  /// changed then.
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
