#pragma once

#include <vector>

#include "runtime/engine/plan.h"

namespace bitpilot {

/// Finds the chains of a plan: a convolution behind which a depthwise one is the only reader of what it writes, in
/// place.  Each needs a few of the other's channels only, so that both can be run by runs of channels that stay in
/// the cache.
std::vector<Plan::Chain> find_chains(const Plan& plan, const Layout& layout);

/// Runs both tasks of a chain on one thread.  The value between them is left with its last channels only.
void run_chain(const Kernels& kernels, const Plan& plan, const Plan::Chain& chain);
/// The same with a clock: adds to first and second what either took.
void time_chain(const Kernels& kernels, const Plan& plan, const Plan::Chain& chain, double& first, double& second);

}  // namespace bitpilot
