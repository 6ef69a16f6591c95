#pragma once

#include "policy/sensitivity.h"

namespace bitpilot {

/// The configuration of least summed sensitivity within a budget: one (weight, activation) pair a layer, each pair's loss and cost taken
/// as independent of the other layers', solved to the optimum as a 0/1 integer program by lp_solve, at the width that was measured.
/// sensitivity  measured on `from`
/// budget    relative cost, (0, 1]
/// Returns   the configuration; its loss is the program's prediction (highest's loss plus the sum of the increases), its accuracy unset.
/// Throws Error(kUsage) if no configuration fits the budget, Error(kBug) if the solver fails.
/// Source: Yao et al., HAWQ-V3, arXiv:2011.10680, with measured losses in place of Hessian traces.
SearchPoint solve_bits(const Sensitivity& sensitivity, const DrawSpace& from, double budget);

}  // namespace bitpilot
