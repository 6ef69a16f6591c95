#pragma once

#include "policy/episodes.h"

namespace bitpilot {

struct PpoOptions : EpisodeTraining {
  int episodes = 1024;         ///< executed before every update
  int epochs = 4;              ///< passes over them
  int minibatch = 256;         ///< turns
  double clip = 0.2;           ///< of the probability ratio
  double gae = 0.95;           ///< lambda of the advantage estimate; discount 1
  double value_weight = 0.5;
};

/// Generalised advantage estimates of one episode's turns: sum over later turns u >= t of gae^(u - t) * (reward_u + value_{u+1} -
/// value_u), with value 0 behind the end.
/// Source: Schulman et al., arXiv:1506.02438.
std::vector<double> generalised_advantages(const std::vector<double>& rewards, const std::vector<double>& values, double gae);

/// Proximal policy optimisation, the model-free rival with the most reuse of each executed episode.  Returns the policy:
/// states -> logits of the actions.  Deterministic for a seed.
/// Source: Schulman et al., arXiv:1707.06347.
RealMlp fit_ppo(EpisodeProcess& process, const PpoOptions& options);

}  // namespace bitpilot
