#pragma once

#include <nlohmann/json_fwd.hpp>

#include "experiments/finish_run.h"

namespace bitpilot {

/// {"accuracy", "accuracy_ci95", "images"} of the model's first anchor on the validation pictures with the mixture's seen families, judged as
/// integers: what a method's settings are chosen by.
nlohmann::json validated(const FinishedTraining& training);

}  // namespace bitpilot
