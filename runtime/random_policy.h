#pragma once

#include <cstdint>
#include <vector>

#include "runtime/core/random.h"
#include "runtime/format/model_data.h"
#include "runtime/policy_parameters.h"

namespace bitpilot {

/// Fully connected layers of these widths with random weights; `output_scale`: about the spread of what comes out.
IntegerMlp random_mlp(const std::vector<int>& widths, Random& random, double output_scale = 1.0);

/// A random but valid policy for any model, with every network that a policy can have: cheaper anchors first, dearer ones behind;
/// about half of the random looks escalate at lambda 1.  For timing what deciding costs, and for tests.
PolicyParameters random_policy(const ModelData& model, std::uint64_t seed = 1);

/// The model with random_policy() and ranges that no picture leaves.
void add_random_policy(ModelData& model, std::uint64_t seed = 1);

}  // namespace bitpilot
