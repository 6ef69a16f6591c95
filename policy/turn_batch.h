#pragma once

#include <torch/torch.h>

#include "policy/episodes.h"

namespace bitpilot {

/// All turns of some episodes, in order, as tensors.
struct TurnBatch {
  torch::Tensor states;   ///< f32 [T, state size]
  torch::Tensor allowed;  ///< bool [T, actions]
  torch::Tensor actions;  ///< i64 [T]
  TurnBatch rows(const torch::Tensor& index) const;
};
TurnBatch turn_batch(const std::vector<Episode>& episodes);

/// Log-probabilities [T, actions] of the softmax over the allowed actions; forbidden ones have none worth mentioning.
torch::Tensor masked_log_probabilities(const torch::Tensor& logits, const torch::Tensor& allowed);
/// Mean entropy over the turns, in nats.
torch::Tensor mean_entropy(const torch::Tensor& log_probabilities);

}  // namespace bitpilot
