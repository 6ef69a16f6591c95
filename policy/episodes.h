#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "policy/small_network.h"
#include "runtime/core/random.h"

namespace bitpilot {

/// A decision process of short episodes with discrete actions, some of them masked, whose rewards come from executed
/// actions only.  What model-free learners learn from: they ask for actions to be executed, and every pass through the
/// backbone that they ask for is counted, also when the process can answer it from its memory of an equal pass.
class EpisodeProcess {
 public:
  /// What is known and what is allowed when it is time to act.
  struct Turn {
    std::vector<float> state;           ///< [state_size()], standardised
    std::vector<std::uint8_t> allowed;  ///< [actions()], at least one
  };
  struct Step {
    double reward = 0;
    bool done = false;
  };

  virtual ~EpisodeProcess() = default;
  virtual std::size_t pictures() const = 0;
  virtual int state_size() const = 0;
  virtual int actions() const = 0;
  /// The turn of an episode on a picture at price `lambda` in which the actions `taken` were executed so far.
  virtual Turn turn(std::size_t picture, double lambda, const std::vector<int>& taken) const = 0;
  /// Executes the last action of `taken`.
  virtual Step execute(std::size_t picture, double lambda, const std::vector<int>& taken) = 0;

  /// Passes through the backbone that were asked for so far.
  std::int64_t evaluations() const { return evaluations_; }

 protected:
  void count_evaluation() { ++evaluations_; }

 private:
  std::int64_t evaluations_ = 0;
};

/// One episode, executed.
struct Episode {
  struct Act {
    EpisodeProcess::Turn turn;
    int action = 0;
    double reward = 0;
  };
  std::size_t picture = 0;
  double lambda = 0;
  std::vector<Act> acts;

  double total() const;
  std::vector<int> taken() const;
};

/// Runs one episode on each of `pictures` at its price, all side by side.  `policy`: states -> logits of the actions.
/// `random`: actions are drawn from the softmax of the allowed logits; nullptr: the largest one, the first on ties.
std::vector<Episode> run_episodes(EpisodeProcess& process, const RealMlp& policy, const std::vector<std::size_t>& pictures,
                                  const std::vector<double>& lambdas, Random* random);

/// What learners of episodes have in common.
struct EpisodeTraining {
  std::int64_t evaluations = 100000;  ///< training ends with the update that spends the last one
  int hidden = 64;
  double learning_rate = 3e-3;                ///< of Adam, falls to 0 by a cosine
  double entropy = 0.01;                      ///< weight of the entropy of the actions; advantages have unit deviation
  double lambda_low = 1.0, lambda_high = 1.0; ///< each episode's price is log-uniform in between
  std::uint64_t seed = 0;
  /// Called behind every update with the policy and the evaluations spent.
  std::function<void(const RealMlp&, std::int64_t)> on_update;
};

/// Pictures and prices of one update's episodes.
struct EpisodeStarts {
  std::vector<std::size_t> pictures;
  std::vector<double> lambdas;
};
EpisodeStarts draw_starts(const EpisodeProcess& process, const EpisodeTraining& training, int count, Random& random);

}  // namespace bitpilot
