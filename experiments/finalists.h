#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "experiments/config_trials.h"

namespace bitpilot {

/// Of the configurations that a search ended with, the one of the least loss as integers; its loss and accuracy are those.
/// finalists [N], at least one: loss and accuracy as the search saw them, with the statistics of each batch.
/// integers  of the same N, on the pictures that the search judged by.
/// record    {"loss", "accuracy", "loss_by_batch_statistics", "accuracy_by_batch_statistics", "relative": of the one that is chosen,
///            "images": how many pictures,
///            "finalists": [the same of each, but for the pictures],
///            "kendall": rank correlation of the two losses over them: how far the search's own judgement can be trusted where it counts}
SearchPoint choose_finalist(const std::vector<SearchPoint>& finalists, const ConfigTrials& integers, nlohmann::json* record);

/// The same, judged here: each is recalibrated on its own paths, exported and run on `samples`.
SearchPoint choose_as_integers(const FinishedTraining& training, const std::vector<SearchPoint>& finalists, const std::vector<Sample>& samples,
                               nlohmann::json* record);

}  // namespace bitpilot
