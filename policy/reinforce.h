#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "policy/bit_distribution.h"
#include "policy/episodes.h"
#include "policy/small_network.h"
#include "runtime/core/random.h"

namespace bitpilot {

/// Reward of executing one action (a rung per layer) on one picture.
using ActionReward = std::function<double(std::size_t picture, const std::vector<int>& rungs)>;

/// One rung per layer, drawn from the categoricals that the distributions induce on a ladder of `rungs` rungs.
std::vector<int> sample_rungs(const std::vector<BitDistribution>& layers, int rungs, Random& random);
/// The rung of each layer's median: what runs at inference time.
std::vector<int> median_rungs(const std::vector<BitDistribution>& layers, int rungs);

/// d log P(rung) / d mean of a distribution, in closed form.  Rungs of probability below 1e-12 give 0.
double score_of_mean(const BitDistribution& distribution, int rung, int rungs);

/// The score-function estimate of d E[reward] / d mean for every layer, from one sampled action: (reward of the sample -
/// reward of the medians) * score.  The second action is the self-critical baseline; it does not depend on the sample,
/// so the estimate stays unbiased.
/// Source: Williams, Simple statistical gradient-following algorithms, 1992; Rennie et al., arXiv:1612.00563.
std::vector<double> reinforce_gradient(const std::vector<BitDistribution>& layers, int rungs, std::size_t picture,
                                       const ActionReward& reward, Random& random);

struct ReinforceOptions {
  int hidden = 32;
  int steps = 1500;
  int batch = 128;               ///< pictures a step; each costs two executions
  double learning_rate = 5e-3;   ///< falls to 0 by a cosine
  double spread_high = 1.2, spread_low = 0.15;  ///< of the logistic: exploration, annealed over the steps
  std::uint64_t seed = 0;
};

/// The model-free baseline: a network from states to the means of logistic distributions, one a layer, learned from
/// rewards of executed actions alone.  states [N][F] standardised.  Returns a network with `layers` outputs.
RealMlp fit_reinforce(const Rows& states, int layers, int rungs, const ActionReward& reward,
                      const ReinforceOptions& options = {});

/// The network's action for every state: [N][layers] rungs.
std::vector<std::vector<int>> reinforce_actions(const RealMlp& network, const Rows& states, int rungs);

struct EpisodeReinforceOptions : EpisodeTraining {
  int episodes = 32;  ///< an update; each also runs the policy's own best actions
  double early_entropy = 0.3;  ///< weight of the entropy at the start, falls geometrically to `entropy`: without it the
                               ///< actions freeze on the best constant before the state is read
};

/// The same learner on a process of several turns: every drawn episode is held against the episode of the policy's own
/// best actions on the same picture (self-critical), and the difference of their returns weighs the log-probabilities of
/// all its actions.  Both episodes are executed and counted.  Returns the policy: states -> logits of the actions.
RealMlp fit_reinforce(EpisodeProcess& process, const EpisodeReinforceOptions& options);

}  // namespace bitpilot
