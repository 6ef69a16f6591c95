#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/image_set.h"
#include "env/config_outcomes.h"
#include "env/outcomes.h"
#include "experiments/recipe.h"
#include "experiments/training_data.h"
#include "policy/policy_sweep.h"

namespace bitpilot {

/// Pictures with what every anchor says of them; row i of the table is sample i.
struct KnownPictures {
  OutcomeTable table;
  SampleAt at;
};

/// Where learners meet: a trained run at one price, and which pictures serve what.
///   policy   of the policy split: learned on
///   check    half of the validation pictures: what a learner may choose by, its passes counted
///   judge    the other half: learning curves and the last figure on validation; no learner sees them
/// The reward of a picture is -clipped task loss - lambda * relative cost of everything that was computed, the policy's own
/// operations included.
struct RivalGround {
  std::string run;
  Recipe recipe;
  DataSplits splits;
  std::shared_ptr<const Model> model;
  CostTable bops;
  AnchorCosts costs;
  std::vector<float> temperatures;
  double lambda = 0;
  double budget = 0;        ///< relative cost that the run's own table promises at lambda: what static rivals are held to
  double pass_seconds = 0;  ///< one prepared picture through one anchor on this machine, mean over the anchors
  int threads = 1;
  std::string memory;  ///< folder of outcome tables that are kept between calls; empty: none
  KnownPictures policy, check, judge;

  const ModelData& data() const { return model->data(); }
  AnchorCosts cascade_costs() const;  ///< with the confidence that a threshold reads
  double reward(const PictureOutcomes& outcomes) const;  ///< mean over the pictures
};

struct GroundOptions {
  std::string run;
  std::optional<double> lambda;  ///< the model's default
  int images = 0;                ///< of each split; 0 = as in the run's recipe
  int threads = 1;
  std::string memory;
};
/// Runs every anchor on the three groups of pictures, or reads what it said from the memory.  Throws Error(kData) on a run without a
/// policy (its prices are needed).
RivalGround open_ground(const GroundOptions& options);

/// The pictures of an evaluation set with every anchor's outcomes.
KnownPictures evaluation_pictures(const RivalGround& ground, EvaluationSet which);

/// What comes of choices between anchors; each picture is billed `policy_cost` besides its looks.
PictureOutcomes outcomes_of(const RivalGround& ground, const OutcomeTable& table, const std::vector<PolicyChoice>& choices,
                            double policy_cost);

}  // namespace bitpilot
