#pragma once

#include <cstdint>
#include <functional>

#include "policy/greedy.h"

namespace bitpilot {

struct DdpgOptions {
  double budget = 0.1;  ///< relative cost; dearer strategies are lowered rung by rung, last layer first, until they fit
  int episodes = 600;   ///< judged strategies
  int warm_up = 20;     ///< of them with uniform actions
  int hidden = 300;     ///< of both hidden layers of actor and critic
  int batch = 64;
  int replay_per_step = 128;  ///< strategies that the replay memory holds
  double actor_rate = 1e-4, critic_rate = 1e-3;
  double target_rate = 0.01;      ///< tau of the target networks
  double spread = 0.5, fade = 0.99;  ///< of the truncated normal exploration: spread * fade^(episode - warm_up)
  double baseline_rate = 0.5;     ///< of the moving average that rewards are held against
  std::uint64_t seed = 0;
  std::function<void(const SearchPoint&, int)> on_episode;  ///< best strategy so far and strategies judged
};

struct DdpgResult {
  SearchPoint best;     ///< of all judged strategies, by accuracy, the cheaper one on ties
  int evaluations = 0;  ///< strategies judged (asked for, answered from memory or not)
};

/// Deterministic policy gradient over the layers of a network, two steps a layer (weights, then activations), as HAQ
/// searches static mixed precision; the reward of a strategy, a tenth of the percentage points above uniform 8 bits, is known
/// at its end and given to all its steps.  The strategies run on the frozen supernet: HAQ's finetuning before each reward is
/// left out, the network is trained for many bit-widths already.  Not input dependent: the model-free static rival.
/// Throws Error(kUsage) if no configuration at whole width fits the budget.
/// Source: Wang et al., HAQ, arXiv:1811.08886; Lillicrap et al., arXiv:1509.02971.
DdpgResult fit_ddpg(const Network& network, const BitSpace& space, const CostTable& cost, const ConfigJudge& judge,
                    const DdpgOptions& options);

}  // namespace bitpilot
