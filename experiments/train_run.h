#pragma once

#include <memory>
#include <string>

#include "data/image_set.h"
#include "data/mixture.h"
#include "experiments/recipe.h"
#include "quant/training_loop.h"
#include "runtime/format/model_data.h"
#include "runtime/sinks/progress.h"
#include "runtime/sources/stop.h"

namespace bitpilot {

struct TrainRequest {
  Recipe recipe;
  std::string data;        ///< data set
  std::string out;         ///< run folder
  std::string float_from;  ///< another run's folder whose float network is taken instead of training one; may be empty
  std::string networks_from;  ///< another run's folder whose float network and supernet are taken: the recipes may differ in name and
                              ///< policy alone; may be empty
  std::string cost = "bops";  ///< what the policy pays for, as experiments/cost_choice.h reads it
  bool resume = false;
  int threads = 2;
  Progress::Style progress = Progress::Style::kLines;
  const Stop* stop = nullptr;
};

/// A whole training in a run folder:
///   recipe.json  metrics.jsonl  events.out.tfevents.run (TensorBoard)  float.safetensors  model.safetensors  summary.json
///   seconds.json (what float network, supernet, the method's search and the rest took, all calls together; no other file depends on time)
///   checkpoints/: the last two (step-*.safetensors) and best.safetensors, the end of the stage's epoch with the lowest mean training
///   loss over its paths
/// Float network, then supernet, then calibration and export, then the policy.  Interrupted anywhere it continues (`resume`) to the same bytes.
class TrainRun {
 public:
  /// Throws Error(kData) if the folder holds another run, or `resume` meets another recipe or data set (naming what differs).
  explicit TrainRun(TrainRequest request);
  ~TrainRun();
  /// False: stopped on request, a checkpoint stands.  A finished run (its summary stands) is left as it is.
  bool run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The network and space that a recipe asks for on a data set's pictures.
struct RecipeNetwork {
  Network network;
  BitSpace space;
  std::vector<PathSpec> paths;
};
RecipeNetwork make_recipe_network(const Recipe& recipe, const DataSplits& splits);

}  // namespace bitpilot
