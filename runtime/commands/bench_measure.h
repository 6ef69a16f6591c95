#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/samples.h"

namespace bitpilot {

/// Seconds of one configuration's passes.
struct ConfigTimes {
  std::string name;
  BitConfig config;
  Samples pass;                 ///< stem and rest, right after a pass of the same configuration
  Samples switching;            ///< what a pass right after one of another configuration takes more than the next one
  std::vector<Samples> layers;  ///< [layer], copies and pools included
};

/// Everything that one picture may cost, measured in turns: one of each, again and again.
struct BenchTimes {
  double peak = 0;     ///< products a second that one core's fastest kind of dot product reaches
  Samples preprocess;  ///< of a picture at the network's size, statistics included
  Samples statistics, stem;
  Samples decision, policy;  ///< a whole decision by the model's policy, and the policy's own part; empty without one
  Samples unguarded, choosing;  ///< the same with --guard off; empty where the choices read the statistics
  std::vector<ConfigTimes> configs;
};

/// Takes turns until `seconds` have passed, but at least a few.
BenchTimes measure(const std::shared_ptr<const Model>& model, std::vector<ConfigTimes> configs, int threads,
                   double seconds);

}  // namespace bitpilot
