#pragma once

#include <cstdint>
#include <vector>

#include "env/outcomes.h"
#include "runtime/policy_head.h"
#include "runtime/policy_rules.h"

namespace bitpilot {

/// What was decided for one picture.
struct PolicyChoice {
  int first = 0;
  int second = -1;        ///< -1: stopped after the first look
  bool fallback = false;  ///< statistics out of range: `first` is the safe anchor
  int last() const { return second >= 0 ? second : first; }
};

/// A policy at one lambda on one table.
struct SweepPoint {
  double lambda = 0;
  double relative = 0;   ///< mean relative cost, policy included
  double accuracy = 0;   ///< 0..1
  double loss = 0;       ///< mean clipped task loss
  double escalated = 0;  ///< share of pictures with a second look
};

/// Which pictures' evidence decides for picture i; empty = its own.  For shuffle tests.
struct Permutations {
  std::vector<std::size_t> observation, scores;
};

/// Runs a model's policy over a table of outcomes: what PolicyHead says is computed once per picture, then every lambda
/// is cheap.  All decisions go through PolicyHead's networks and the rules of runtime/policy_rules.
class PolicySweep {
 public:
  /// `policy_cost`: relative cost of observing and deciding, billed to every picture.
  PolicySweep(const ModelData& model, const OutcomeTable& table, double policy_cost,
              const Permutations& permutations = {});

  /// The policy's numbers; weights, masks and tables may be changed between runs (networks and temperatures may not).
  PolicyParameters& parameters() { return parameters_; }
  std::vector<PolicyChoice> choose(double lambda) const;
  /// DecisionRule::guard; the policy's cost is the caller's to lower.
  void set_guard(bool guard) { guard_ = guard; }
  SweepPoint judge(const std::vector<PolicyChoice>& choices, double lambda = 0) const;
  SweepPoint at(double lambda) const { return judge(choose(lambda), lambda); }

  std::size_t size() const { return table_->size(); }
  const OutcomeTable& table() const { return *table_; }
  double cost_of(const PolicyChoice& choice) const;
  bool correct(std::size_t sample, int anchor) const {
    return correct_[sample * anchors_ + static_cast<std::size_t>(anchor)] != 0;
  }
  double loss(std::size_t sample, int anchor) const {
    return loss_[sample * anchors_ + static_cast<std::size_t>(anchor)];
  }
  float signal(std::size_t sample, int anchor) const {
    return signal_[sample * anchors_ + static_cast<std::size_t>(anchor)];
  }
  /// Probability of the predicted class.
  float confidence(std::size_t sample, int anchor) const {
    return confidence_[sample * anchors_ + static_cast<std::size_t>(anchor)];
  }
  const std::vector<float>& embedding(std::size_t sample) const { return observations_[sample].embedding; }
  const Observation& observation(std::size_t sample) const { return observations_[sample]; }
  const PolicyHead& head() const { return head_; }
  double policy_cost() const { return policy_cost_; }
  /// The second look after `taken`, -1 = stop.
  int second_of(std::size_t sample, int taken, double lambda) const;

 private:
  PolicyHead head_;
  PolicyParameters parameters_;
  const OutcomeTable* table_;
  std::size_t anchors_;
  int safe_anchor_;
  double policy_cost_;
  bool guard_ = true;
  std::vector<Observation> observations_;
  std::vector<float> signal_, confidence_;  ///< [N][K]
  std::vector<float> residual_;             ///< [N][K][K]
  std::vector<float> loss_;                 ///< [N][K]
  std::vector<std::uint8_t> correct_;       ///< [N][K]
};

/// `count` values, evenly spaced in logarithm, ends included.
std::vector<double> log_spaced(double low, double high, int count);

}  // namespace bitpilot
