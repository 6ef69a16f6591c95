#pragma once

#include <cstdint>
#include <string>

#include "runtime/commands/options.h"
#include "runtime/format/model_data.h"

namespace bitpilot {

/// What bench and profile work on: a model file, or a backbone with random weights.
struct BenchModel {
  std::string model, network;
  std::int64_t size = 0, channels = 0, classes = 0;

  /// Adds --model, --network, --size, --channels and --classes.
  void add_options(Options& options);
  /// Throws Error(kUsage) unless exactly one of --model and --network was given.  `hash` receives the file's, or
  /// nothing.
  ModelData load(const std::string& command, std::string& hash) const;
};

}  // namespace bitpilot
