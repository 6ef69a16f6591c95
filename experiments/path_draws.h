#pragma once

#include <cstdint>
#include <vector>

#include "quant/training_loop.h"
#include "runtime/format/model_data.h"

namespace bitpilot {

/// How pictures are dealt out to the paths while the backbone trains under the policy's draws.
struct PathDrawOptions {
  std::uint64_t seed = 0;
  double coverage = 0.1;                      ///< least share of every picture that all paths have alike, [0, 1]
  double lambda_low = 0.05, lambda_high = 4;  ///< prices, log-uniform: from nearly always a second look to nearly never
  int prices = 8;                             ///< drawn a step, one in each of as many equal parts of the range
};

/// The joint phase of the hybrid objective: a picture trains the paths that the two-look policy would predict with.  In every batch the
/// policy's own stop rule (monotone curves over the margin of a look, policy/stop_rule) is fitted to what the paths said, prices are
/// drawn, and at each price the first look with the best mean value is taken and each picture stops or goes on by choose_second.  A
/// picture's share of a path = (1 - coverage) * the part of the prices at which that path has the last word + coverage / paths.
/// Nothing is kept between steps: the shares follow from seed, step and scores alone.
/// `network`, `space`, `paths`: of the supernet; costs are BOPs.  With one path its share is 1.
PathShares policy_path_shares(const Network& network, const BitSpace& space, const std::vector<PathSpec>& paths,
                              const PathDrawOptions& options);

}  // namespace bitpilot
