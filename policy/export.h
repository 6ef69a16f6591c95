#pragma once

#include "policy/small_network.h"
#include "runtime/policy_parameters.h"

namespace bitpilot {

/// The integer form of a small network whose inputs are codes at kPolicyInputStep.  Weights int8 with one step per row;
/// hidden codes 0..255 with one step per layer, from the 99.9 % quantile of its activations on `calibration` (real
/// inputs, one row a sample).
IntegerMlp to_integer(const RealMlp& network, const Rows& calibration);

/// Real inputs rounded to the codes that the runtime sees, as real numbers again.
Rows rounded_inputs(const Rows& standardised);

/// What the integer network says for every row (inputs are rounded to codes first).
Rows apply_integer(const IntegerMlp& network, const Rows& inputs);

}  // namespace bitpilot
