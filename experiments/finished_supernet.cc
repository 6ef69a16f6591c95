#include "experiments/finished_supernet.h"

#include <nlohmann/json.hpp>

#include "data/codecs/decode.h"
#include "experiments/checkpoint.h"
#include "experiments/training_data.h"
#include "quant/export.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"
#include "runtime/engine/engine.h"

namespace bitpilot {

namespace {

NamedTensors tensors_of(const QuantizedNetwork& network) {
  NamedTensors tensors = network.parameters();
  for (const auto& buffer : network.buffers()) tensors.push_back(buffer);
  return tensors;
}

CalibrationBatches batches_of(const Recipe& recipe, const DataSplits& splits, const Network& network) {
  return calibration_batches(recipe, first_images(splits.train, static_cast<std::size_t>(recipe.train_images)), network.input_shape());
}

/// As the last checkpoint has it, before its calibration.
std::unique_ptr<QuantizedNetwork> last_checkpoint(const std::string& run, const Recipe& recipe, const RecipeNetwork& parts) {
  auto supernet = std::make_unique<QuantizedNetwork>(parts.network, parts.space, parts.paths, /*quantized=*/true, recipe.seed);
  const std::vector<std::string> checkpoints = list_checkpoints(run + "/checkpoints");
  if (checkpoints.empty())
    throw Error(ExitCode::kData, "the run has no checkpoint of its supernet", run + "/checkpoints", "give the folder of a finished run");
  read_checkpoint(checkpoints.front(), tensors_of(*supernet), /*more=*/true);
  return supernet;
}

}  // namespace

std::unique_ptr<QuantizedNetwork> read_supernet(const std::string& run, const Recipe& recipe, const DataSplits& splits) {
  const RecipeNetwork parts = make_recipe_network(recipe, splits);
  auto supernet = last_checkpoint(run, recipe, parts);
  recalibrate(supernet.get(), batches_of(recipe, splits, parts.network));
  return supernet;
}

FinishedRun::FinishedRun(const std::string& run, int threads) {
  request_.recipe = read_run_recipe(run);
  request_.data = request_.recipe.data;
  request_.out = run;
  request_.threads = threads;
  identity_ = parse_json(read_file(run + "/recipe.json"), run + "/recipe.json");
  splits_ = open_splits(request_.data, decode_file);
  const RecipeNetwork parts = make_recipe_network(request_.recipe, splits_);
  const PathSpec whole{"float", uniform_config(parts.space, 8, 8)};
  float_network_ = std::make_unique<QuantizedNetwork>(parts.network, parts.space, std::vector<PathSpec>{whole}, /*quantized=*/false,
                                                      request_.recipe.seed);
  read_checkpoint(run + "/float.safetensors", tensors_of(*float_network_), /*more=*/true);
  supernet_ = last_checkpoint(run, request_.recipe, parts);
  calibration_ = batches_of(request_.recipe, splits_, parts.network);
  recalibrate(supernet_.get(), calibration_);
  training_.emplace(FinishedTraining{request_, splits_, *float_network_, *supernet_, calibration_, identity_,
                                     Model::load(run + "/model.safetensors")->data(), {}});
}

}  // namespace bitpilot
