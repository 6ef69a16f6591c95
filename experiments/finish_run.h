#pragma once

#include <nlohmann/json.hpp>

#include "data/image_set.h"
#include "env/outcomes.h"
#include "experiments/train_run.h"
#include "quant/export.h"
#include "quant/quantized_network.h"
#include "runtime/format/model_data.h"

namespace bitpilot {

class RunClock;

/// What a run holds once its supernet is calibrated.
struct FinishedTraining {
  const TrainRequest& request;
  const DataSplits& splits;
  QuantizedNetwork& float_network;
  QuantizedNetwork& supernet;
  const CalibrationBatches& calibration;
  const nlohmann::json& identity;  ///< recipe, data and mixture: the model's provenance
  ModelData model;
  OutcomeTable validation;  ///< every anchor on the validation pictures, filled by a method that learns a policy
  RunClock* clock = nullptr;  ///< of the run that ends: never null in Method::finish, null where a finished run was opened again
};

class Method;

/// Lets the method learn its policy or search, writes model.safetensors and summary.json (accuracy of the float network, of every anchor and of the policy on the
/// three evaluation sets, judged as integers).  False: stopped on request.
bool finish_run(FinishedTraining training, Method* method);

}  // namespace bitpilot
