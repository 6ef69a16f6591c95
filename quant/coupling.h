#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "quant/quantizers.h"
#include "runtime/core/network.h"
#include "runtime/core/random.h"

namespace bitpilot {

/// How close a layer's weights stand to where their codes change: mean over the candidates b of
///   (1 / b) * share of weights whose distance to their own code is more than 0.375 steps (of at most 0.5),
/// counting only the inner side of the two outermost codes: beyond them no further code follows.
/// weight [O, …]; log_step [O] of the 8-bit code, a candidate's step is 2^(8 - b) of it.
/// Source    RFQuant, arXiv:2401.01543, and its code ("bit-width representation set").
double turbulence(const torch::Tensor& weight, const torch::Tensor& log_step, const std::vector<int>& candidates);

/// What one decision of the scheduler was made of.
struct FreezeEvent {
  double ratio = 0;                 ///< of the adaptive layers that may be frozen
  std::vector<double> turbulence;   ///< [layer], 0 for the fixed ones
  std::vector<int> frozen;          ///< layers, most turbulent first
  std::vector<int> restored;        ///< layers that the event before had frozen and that have their whole list back
};

/// Weights that many layers' bit-widths share cross rounding boundaries most at the smallest bit-width.  After some epochs the smallest
/// candidate of the most turbulent layers' weights is dropped until the next event, all other layers get their whole list back.
/// Activations keep all candidates: it is the weights that are shared.
/// Source: RFQuant, arXiv:2401.01543; its 150 epochs are scaled to `epochs`:  events from epoch 5/150 on, every 2/150 of them for the
/// first 72 %, then every 15/150, never more often than once an epoch; the ratio falls from 0.5 to 0.2 by a cosine.
class BitWidthScheduler {
 public:
  BitWidthScheduler(const Network& network, const BitSpace& space, std::int64_t epochs);
  /// Whether an event follows the end of epoch 0 ….
  bool due(std::int64_t epoch) const;
  double ratio(std::int64_t epoch) const;
  /// Freezes and restores by the weights as they are.  parameters: of the network, by name.
  FreezeEvent update(std::int64_t epoch, const NamedTensors& parameters);
  /// Candidates of the weights as they are now.
  BitSpace weights() const;
  /// What a checkpoint must hold; restored in place.
  NamedTensors state() const { return {{"scheduler.frozen", frozen_}}; }

 private:
  const Network network_;
  const BitSpace space_;
  std::int64_t epochs_;
  torch::Tensor frozen_;  ///< [layer] 1 = the smallest candidate is dropped
};

/// Layers of a configuration whose weights stand at their smallest current candidate.  weights: as BitWidthScheduler has them now.
std::vector<int> at_smallest(const BitConfig& config, const BitSpace& weights);

/// Draws the weights anew, evenly among the current candidates, that a configuration has below them.
void keep_to(const BitSpace& weights, Random random, BitConfig& config);

}  // namespace bitpilot
