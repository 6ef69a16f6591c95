#pragma once

#include "policy/small_network.h"

namespace bitpilot {

/// Least squares in closed form: one linear layer.  `ridge` > 0: as many more rows for each input, which hold 1 there and 0 elsewhere and
/// whose targets are 0; the bias is free.  Inputs are best standardised.
RealMlp fit_ridge_regression(const Rows& inputs, const Rows& targets, double ridge);

}  // namespace bitpilot
