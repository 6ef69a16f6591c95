#pragma once

#include <memory>
#include <vector>

#include "data/batch_loader.h"
#include "runtime/engine/engine.h"

namespace bitpilot {

/// How one contender treats a picture.
struct TimedRule {
  std::shared_ptr<const Model> model;
  int anchor = -1;                    ///< first look; -1: the model's policy
  std::vector<double> lambdas = {};   ///< [pictures] of the policy
  bool guard = true;                  ///< of the policy
  int second = -1;                    ///< second look, -1 = none
  std::vector<std::uint8_t> go = {};  ///< [pictures] whether the second look is taken
};

/// Mean milliseconds a prepared picture of each rule, one thread: `repeats` passes over the first `pictures` samples, all rules in turn on
/// every 64 of them, so that a busy machine slows all of them alike; the median of the passes.
std::vector<double> look_times(const std::vector<TimedRule>& rules, const std::vector<Sample>& samples, std::size_t pictures = 2048,
                               int repeats = 5);

}  // namespace bitpilot
