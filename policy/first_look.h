#pragma once

#include "policy/policy_sweep.h"
#include "policy/small_network.h"

namespace bitpilot {

struct FirstLookOptions {
  int hidden = 32;  ///< units; 0: linear, solved in closed form (no epochs), for values that do not bend with lambda
  int epochs = 8;
  int draws = 5;  ///< lambdas drawn per picture
  double weight_decay = 1e-2;
  std::uint64_t seed = 0;
};

/// Mean value-to-go of every first look at every knot: task loss after the stop rule + lambda * cost of the second
/// look.  `losses` [N][K]. Writes first_value of `parameters`; `sweep` holds the stop rule and the pictures.
void fit_first_values(const PolicySweep& sweep, const Rows& losses, PolicyParameters& parameters);

/// The network that predicts one picture's deviation from those means, relative to the other anchors (an argmin needs
/// no more), from its embedding and lambda.  Full information: every first look's return is known for every picture.
IntegerMlp fit_first_residual(const PolicySweep& sweep, const Rows& losses, const PolicyParameters& parameters,
                              const FirstLookOptions& options);

/// Lambda of a knot of the tables.
double knot_lambda(const PolicyParameters& parameters, std::size_t knot);

}  // namespace bitpilot
