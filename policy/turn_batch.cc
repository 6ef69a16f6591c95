#include "policy/turn_batch.h"

namespace bitpilot {

TurnBatch TurnBatch::rows(const torch::Tensor& index) const {
  return {states.index_select(0, index), allowed.index_select(0, index), actions.index_select(0, index)};
}

TurnBatch turn_batch(const std::vector<Episode>& episodes) {
  std::vector<float> states;
  std::vector<std::uint8_t> allowed;
  std::vector<std::int64_t> actions;
  for (const Episode& episode : episodes) {
    for (const Episode::Act& act : episode.acts) {
      states.insert(states.end(), act.turn.state.begin(), act.turn.state.end());
      allowed.insert(allowed.end(), act.turn.allowed.begin(), act.turn.allowed.end());
      actions.push_back(act.action);
    }
  }
  const auto turns = static_cast<std::int64_t>(actions.size());
  return {torch::tensor(states).view({turns, -1}), torch::tensor(allowed, torch::kUInt8).view({turns, -1}) > 0,
          torch::tensor(actions, torch::kInt64)};
}

torch::Tensor masked_log_probabilities(const torch::Tensor& logits, const torch::Tensor& allowed) {
  return torch::log_softmax(logits.masked_fill(~allowed, -1e9), 1);
}

torch::Tensor mean_entropy(const torch::Tensor& log_probabilities) {
  return -(log_probabilities.exp() * log_probabilities).sum(1).mean();
}

}  // namespace bitpilot
