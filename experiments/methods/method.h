#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "experiments/finish_run.h"
#include "experiments/recipe.h"
#include "quant/training_loop.h"

namespace bitpilot {

/// A stage of the supernet's training as a method meets it.
struct MethodStage {
  std::string name;              ///< "supernet", "supernet2", …
  QuantizedNetwork* network;
  std::int64_t steps_per_epoch;
  std::int64_t steps;            ///< of the whole stage
  int number, count;             ///< which stage, of how many
};

/// What a published method changes in the one training: what its steps minimise, what it decides between epochs, and what is learned or
/// searched once the supernet is calibrated and exported.  The defaults change nothing.  One method, one file of this folder.
class Method {
 public:
  virtual ~Method() = default;
  /// Before any work, on the network and the space that the recipe asks for: throws Error(kData) if a setting cannot be met on them.
  virtual void check(const Network& network, const BitSpace& space) const { static_cast<void>(network), static_cast<void>(space); }
  /// Before the first step of a stage, on a resumed run too (state() has not been restored yet).
  virtual void begin_stage(const MethodStage& stage, TrainingOptions* options) { static_cast<void>(stage), static_cast<void>(options); }
  /// After an epoch's last step (and before its checkpoint).  Returns what metrics.jsonl shall keep of it as "method"; null = nothing.
  virtual nlohmann::json end_epoch(const MethodStage& stage, std::int64_t epoch);
  /// After a stage's last checkpoint, before the normalisation is recalibrated for the export; again on a run that is resumed there, so it
  /// must depend on the network and state() alone.
  virtual void end_stage(const MethodStage& stage) { static_cast<void>(stage); }
  /// What a checkpoint must hold beside the network and the optimiser: restored in place, so the tensors' shapes must not change.
  virtual NamedTensors state() { return {}; }
  /// With the model exported: learns the policy, searches, writes its reports to the run folder.  What it returns becomes "method" of
  /// summary.json; null = nothing.
  virtual nlohmann::json finish(FinishedTraining* training);
};

/// Throws Error(kData), naming method.budget and the least possible, if no configuration of all filters is that cheap in bit operations.
void check_method_budget(double budget, const Network& network, const BitSpace& space);

/// Throws Error(kData) if the settings are not the method's.
std::unique_ptr<Method> make_dqmq(const Recipe& recipe);
std::unique_ptr<Method> make_rfquant(const Recipe& recipe);
std::unique_ptr<Method> make_eqnet(const Recipe& recipe);
std::unique_ptr<Method> make_qgt(const Recipe& recipe);
std::unique_ptr<Method> make_abs(const Recipe& recipe);

/// The method that a recipe names: {"method": {"name": …, its own settings}}.  Throws Error(kData) on an unknown name or setting.
std::unique_ptr<Method> make_method(const Recipe& recipe);

}  // namespace bitpilot
