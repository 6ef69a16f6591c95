#pragma once

#include <memory>

#include "data/batch_loader.h"
#include "env/action.h"
#include "env/observation.h"
#include "runtime/core/cost.h"
#include "runtime/engine/engine.h"

namespace bitpilot {

/// The decision process with the integer engine as its dynamics.  An episode: start, one look, then stop or a second
/// look. Rewards: -lambda * relative cost with each look (the stem with the first one, the policy's own cost too),
/// -task loss at the end. Discount 1.  Not thread-safe.
class BitEnv {
 public:
  static constexpr int kMaxLooks = 2;

  struct Outcome {
    State state;
    double reward = 0;
    bool done = false;
  };

  /// `cost`: any unit; only its relative values are read.  `policy_cost`: relative cost of observing and deciding,
  /// billed once.
  BitEnv(std::shared_ptr<const Model> model, CostTable cost, double policy_cost);

  State reset(const Sample& sample, double lambda);
  /// Throws Error(kBug) when stopping before a look or stepping after the end.
  Outcome step(const Action& action);
  /// Relative cost of the episode so far.
  double relative_cost() const { return relative_; }

 private:
  double finish() const;

  std::shared_ptr<const Model> model_;
  Session session_;
  CostTable cost_;
  double policy_cost_ = 0, relative_ = 0;
  State state_;
  int label_ = 0, looks_ = 0;
  bool done_ = true;
};

}  // namespace bitpilot
