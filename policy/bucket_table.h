#pragma once

#include <vector>

#include "policy/policy_sweep.h"
#include "policy/threshold_cascade.h"

namespace bitpilot {

/// The simplest policies that see the picture: its quality score picks a bucket, the bucket a fixed rule.  With one bucket:
/// the threshold cascade that is best at a price.
struct BucketTable {
  std::vector<float> edges;    ///< scores at which the next bucket begins, ascending
  std::vector<Cascade> rules;  ///< [edges.size() + 1]; second = -1: one look
};

/// Splits the pictures at quantiles of `quality` [N] into `buckets` and gives each the rule with the largest mean reward
/// (-clipped task loss - lambda * relative cost): one anchor, or a pair with one threshold on the first look's top
/// probability.  Full information: every anchor's outcome is read.
BucketTable fit_bucket_table(const OutcomeTable& table, const std::vector<float>& temperatures, const AnchorCosts& costs,
                             const std::vector<float>& quality, int buckets, double lambda);

std::vector<PolicyChoice> bucket_choices(const BucketTable& rules, const OutcomeTable& table,
                                         const std::vector<float>& temperatures, const std::vector<float>& quality);

/// The choice with the largest reward for each picture, its label known: what luck and knowledge together could reach.  An
/// upper bound, not a rival.
std::vector<PolicyChoice> oracle_choices(const OutcomeTable& table, const std::vector<float>& temperatures,
                                         const AnchorCosts& costs, double lambda);

}  // namespace bitpilot
