#include "experiments/finished_supernet.h"

#include <nlohmann/json.hpp>

#include "experiments/checkpoint.h"
#include "experiments/train_run.h"
#include "experiments/training_data.h"
#include "quant/export.h"
#include "runtime/core/error.h"

namespace bitpilot {

std::unique_ptr<QuantizedNetwork> read_supernet(const std::string& run, const Recipe& recipe, const DataSplits& splits) {
  const RecipeNetwork parts = make_recipe_network(recipe, splits);
  auto supernet = std::make_unique<QuantizedNetwork>(parts.network, parts.space, parts.paths, /*quantized=*/true, recipe.seed);
  const std::vector<std::string> checkpoints = list_checkpoints(run + "/checkpoints");
  if (checkpoints.empty())
    throw Error(ExitCode::kData, "the run has no checkpoint of its supernet", run + "/checkpoints", "give the folder of a finished run");
  NamedTensors tensors = supernet->parameters();
  for (const auto& buffer : supernet->buffers()) tensors.push_back(buffer);
  read_checkpoint(checkpoints.front(), tensors, /*more=*/true);
  const auto train_set = first_images(splits.train, static_cast<std::size_t>(recipe.train_images));
  recalibrate(supernet.get(), calibration_batches(recipe, train_set, parts.network.input_shape()));
  return supernet;
}

}  // namespace bitpilot
