#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "data/image_set.h"
#include "experiments/finish_run.h"
#include "experiments/recipe.h"
#include "experiments/train_run.h"
#include "quant/quantized_network.h"

namespace bitpilot {

/// The supernet of a finished run as it was exported: its last checkpoint, recalibrated on the run's own pictures.  What the
/// simulator needs after the training's end.  Throws Error(kData) if the folder has no checkpoint that fits its recipe.
std::unique_ptr<QuantizedNetwork> read_supernet(const std::string& run, const Recipe& recipe, const DataSplits& splits);

/// A finished run opened again, as its method's finish() met it: what searches on it, and exports what they find, need.
class FinishedRun {
 public:
  /// Throws Error(kData) as read_supernet does, and without float.safetensors or model.safetensors.
  FinishedRun(const std::string& run, int threads);
  FinishedTraining& training() { return *training_; }

 private:
  TrainRequest request_;
  DataSplits splits_;
  std::unique_ptr<QuantizedNetwork> float_network_, supernet_;
  CalibrationBatches calibration_;
  nlohmann::json identity_;
  std::optional<FinishedTraining> training_;  ///< refers to all of the above
};

}  // namespace bitpilot
