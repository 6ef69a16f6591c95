#pragma once

#include <torch/torch.h>

#include "policy/bit_distribution.h"
#include "runtime/core/cost.h"
#include "runtime/format/model_data.h"

namespace bitpilot {

/// The ladders and costs of a model's layers as tensors, for gradients with respect to fractional bits.  L weight
/// layers, R rungs at most.
struct LadderTensors {
  torch::Tensor rungs;  ///< f32 [L] rungs of each layer
  torch::Tensor bits;   ///< f32 [L, R] the ladder, padded with its last entry
  torch::Tensor path;   ///< f32 [K, L, 2] each anchor's position in ladder steps, weights and activations
  torch::Tensor width;  ///< f32 [K, L] share of active blocks
  torch::Tensor
      cost;  ///< f32 [K, L, R, R] relative cost of a layer at (weight rung, activation rung), widths of the anchor
  torch::Tensor adaptive;  ///< f32 [L] 1 for layers of the action space
};
LadderTensors ladder_tensors(const ModelData& model, const CostTable& cost);

/// Reparameterised positions: y ~ distribution with its centre (BitDistribution::at_position) at `position` [N, L, 2] and
/// `spread` [L, 2] for the random numbers u [N, L, 2]; returns positions in ladder steps, 0 .. rungs - 1, with gradients to both.
torch::Tensor sample_positions(BitFamily family, const LadderTensors& ladder, const torch::Tensor& position,
                               const torch::Tensor& spread, const torch::Tensor& u);

/// Bits [N, L, 2] at positions between rungs.  On a rung the gradient is that of the upper interval (of the last one at
/// the end): never 0.
torch::Tensor bits_of(const LadderTensors& ladder, const torch::Tensor& position);

/// Relative cost [N] of configurations at fractional positions: bilinear between the table's entries.  anchors i64 [N].
torch::Tensor cost_of(const LadderTensors& ladder, const torch::Tensor& anchors, const torch::Tensor& position);

/// The anchor i64 [N] at whole width whose bits are nearest to each position [N, L, 2], in ladder steps summed over the
/// adaptive layers: whose calibration a configuration between anchors borrows in the simulator.  The first on ties.
torch::Tensor nearest_anchors(const LadderTensors& ladder, const torch::Tensor& position);

/// Mutual information between picture and rung, mean over layers and tensors: H(E p) - E H(p) with p the rung
/// probabilities of the family's distribution; nats.  Rewarded with a small weight against collapse.
torch::Tensor rung_information(BitFamily family, const LadderTensors& ladder, const torch::Tensor& position,
                               const torch::Tensor& spread);

}  // namespace bitpilot
