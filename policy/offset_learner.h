#pragma once

#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "env/outcomes.h"
#include "policy/bit_distribution.h"
#include "policy/paired_bootstrap.h"

namespace bitpilot {

class Simulator;

struct OffsetOptions {
  BitFamily family = BitFamily::kLogistic;
  int rollout_pictures = 1500;  ///< executed with integer bits to learn the reward model from
  int configs_per_picture = 6;
  double gate = 0.5;  ///< least rank correlation of the learned reward model
  int steps = 300;    ///< policy-gradient steps
  int batch = 256;    ///< 64 with the simulator
  double learning_rate = 1e-3;
  double pessimism = 1.0;                     ///< kappa: standard deviations of the ensemble added to the loss
  double anti_collapse = 0.01;                ///< start; falls to 0
  double lambda_low = 0.05, lambda_high = 4;  ///< drawn log-uniformly
  int check_pictures = 2000;                  ///< of validation, executed with and without offsets
  std::uint64_t seed = 0;
};

/// What offsets are learned from and judged on.  Table row i and sample i are the same picture.
struct OffsetInputs {
  std::shared_ptr<const Model> model;  ///< with the policy that the offsets are added to
  const OutcomeTable* train = nullptr;
  SampleAt train_at;
  const OutcomeTable* validation = nullptr;
  SampleAt validation_at;
  Simulator* simulator = nullptr;  ///< taken when the learned model's gate stays shut; nullptr: then nothing is learned
};

struct OffsetResult {
  bool kept = false;
  std::string teacher = "none";  ///< "reward_model", "simulator" or "none"
  double rank_correlation = 0;   ///< of the reward model, within held-out pictures
  Interval reward_gain;  ///< per picture on validation at the default lambda, with minus without offsets, integers only
  /// The same with the other teacher (the reward model that its gate refused, or the simulator): what the gate decides.  Empty name: there
  /// is no simulator.
  std::string other_teacher;
  Interval other_gain;
  /// First looks at the learned means on validation: accuracy of the integer engine at the nearest rungs, and of the simulator at the
  /// fractional bits.  NaN without a simulator.
  double hard_accuracy = std::numeric_limits<double>::quiet_NaN(), relaxed_accuracy = std::numeric_limits<double>::quiet_NaN();
  double sampled_cost_ratio = 1;  ///< cost of bits drawn from the distributions over cost of their means
  nlohmann::json log;
};

/// Model-based policy optimisation of the per-layer part: offsets (start 0) and spreads of the bit distributions, by
/// reparameterised gradients through the learned reward model (pessimistic), or through the simulator.  The mean cost
/// is held at the anchors' by a dual variable. Writes the spreads to model.policy; the offsets only if the gain on
/// validation excludes 0.  The budget table stays valid because offsets hold the cost.  The other teacher learns and is judged too, for
/// the record alone.
OffsetResult learn_offsets(ModelData& model, const OffsetInputs& inputs, const OffsetOptions& options);

}  // namespace bitpilot
