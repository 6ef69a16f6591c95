#pragma once

#include "env/outcomes.h"
#include "policy/small_network.h"
#include "runtime/policy_parameters.h"

namespace bitpilot {

/// Least-squares non-decreasing fit (pool adjacent violators) of values already sorted by their argument.
std::vector<double> isotonic(const std::vector<double>& values);

struct StopRuleOptions {
  int points = 33;  ///< of each curve, at quantiles of the signal that crowd towards the unsure end
  int hidden = 32;
  int epochs = 10;
  double weight_decay = 3e-3;
  double error_weight = 0;  ///< share of the softened error (scaled to the loss) in what the curves predict
  std::uint64_t seed = 0;
};

/// Task loss that stop rules and first looks are fitted to: (1 - w) * clipped loss + w * scale * softened error,
/// [N][K].  The softened error is 1 - probability of the label at a third of the anchor's temperature; `scale` makes a
/// change of it between anchors worth as much as the change of loss that comes with it.
Rows mixed_losses(const OutcomeTable& table, const std::vector<float>& temperatures, double error_weight);

/// Fits, for every first look, what each dearer look behind it is expected to save: a monotone curve over the stop
/// signal, and a small network on (embedding, confidence) for what the curve misses.  Needs the embedding, costs and
/// signal of `parameters`; fills the curves, the confidence standardisation and stop_residual.
void fit_stop_rule(const ModelData& model, const OutcomeTable& table, const StopRuleOptions& options,
                   PolicyParameters& parameters);

/// The rule of a policy of one look: no second look is allowed, nothing is read of the first.  Fills the same fields.
void never_look_again(PolicyParameters& parameters);

}  // namespace bitpilot
