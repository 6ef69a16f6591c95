#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "env/outcomes.h"
#include "runtime/core/cost.h"
#include "runtime/engine/engine.h"

namespace bitpilot {

/// Calls `work` for samples 0 .. count - 1 with a Session of its thread, on `threads` threads.  Rethrows a failure of any.
void for_each_sample(const std::shared_ptr<const Model>& model, std::size_t count, int threads,
                     const std::function<void(Session&, std::size_t)>& work);

/// What came of a decision on every picture of a set.
struct PictureOutcomes {
  std::vector<std::uint8_t> correct;  ///< [N]
  std::vector<double> loss;           ///< [N] clipped task loss
  std::vector<double> relative;       ///< [N] cost
};

/// Runs sample i once, at config_of(i), for all i below `count`.  Losses at temperature 1: configurations between anchors
/// have none of their own.  The result does not depend on `threads`.
PictureOutcomes run_configs(const std::shared_ptr<const Model>& model, const CostTable& cost, std::size_t count,
                           const SampleAt& sample_at, const std::function<const BitConfig&(std::size_t)>& config_of, int threads);

}  // namespace bitpilot
