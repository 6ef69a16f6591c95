#pragma once

#include <span>

#include "runtime/policy_parameters.h"

namespace bitpilot {

/// The two decisions, given what the networks said of the picture.  PolicyHead and the training side's sweeps both call
/// these.

/// argmin over the allowed anchors of: mean value-to-go(lambda) + first_weight * residual + lambda * cost of the look.
int choose_first(const PolicyParameters& parameters, std::span<const float> residual, double lambda);

/// The allowed second look with the largest positive (expected drop of task loss - lambda * its cost); -1 = stop.
/// Expected drop = monotone curve at `signal` + stop_weight * residual.  With stop_weight 0 and one allowed pair this
/// is a threshold on the look's confidence: the cascade is a special case of the policy.
int choose_second(const PolicyParameters& parameters, int taken, float signal, std::span<const float> residual,
                  double lambda);

/// The curve alone: linear between its points; the expected drop when `second` follows `taken`.
float curve_drop(const PolicyParameters& parameters, int taken, int second, float signal);

/// Points of the budget table whose lambdas differ by less than this factor stand on both sides of a jump of the mean cost (one more anchor
/// pays, for every picture at once): no lambda has a cost in between.
inline constexpr double kJumpRatio = 1 + 1e-4;

}  // namespace bitpilot
