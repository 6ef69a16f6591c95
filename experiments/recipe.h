#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "quant/quantized_network.h"

namespace bitpilot {

/// One stage of supervised training.
struct StageRecipe {
  int epochs = 12;               ///< 0..1000
  double learning_rate = 1.5e-3; ///< peak of the one-cycle schedule, (0, 1]
  double label_share = 0.5;      ///< of the target, the rest is the float teacher's distribution, 0..1
  bool in_place = false;         ///< the first path teaches the others instead of the float network
  int random_paths = 0;          ///< free configurations a step, 0..4
  double policy_share = 0;       ///< share of the steps, at the end, in which pictures train the paths that the policy would draw for them,
                                 ///< 0..0.999; supernet only
  std::vector<std::string> paths;  ///< names of the paths that this stage trains; empty = all.  Those of earlier stages that it leaves
                                   ///< out are held: their codes stay as they are.  With random_paths a path that no stage
                                   ///< names learns through the free configurations that borrow its normalisation
};

/// One anchor of the supernet, as a recipe states it.
struct PathRecipe {
  std::string name;
  int weight = 8, activation = 8;  ///< bits of all adaptive layers, 2..8
  double width = 1;                ///< share of the filters, (0, 1]
  double loss_weight = 1;          ///< (0, 100]
  std::vector<LayerBits> layers;   ///< bits (and blocks; 0 = all) of each adaptive layer instead, if not empty
};

/// How the per-image policy is learned.
struct PolicyRecipe {
  bool enabled = true;
  int looks = 2;                 ///< at most, at every picture: 1 or 2
  int draws = 4;                 ///< degraded draws of every picture of the policy split, 1..32
  double reference_loss = 0.15;  ///< percentage points of accuracy below the reference anchor that the default lambda may lose: its
                                 ///< one-sided 90 % bound on unseen pictures stays within this
  int price_draws = 8;           ///< degraded draws of every unseen picture that prices are set on, 1..64
  std::string reference = "";    ///< anchor name; empty: the most accurate
  int offset_steps = 300;        ///< policy-gradient steps for the per-layer offsets, 0 = no offsets, at most 100000
  std::string distribution = "logistic";  ///< of every layer's bit-width: "logistic" or "truncated_normal"
  int offset_pictures = 1500;    ///< rollouts for the learned reward model, and pictures that offsets are judged on, 16..1000000
};

/// A whole training, as `bitpilot train --config` reads it.  Every field has a default; an unknown key is an error.
struct Recipe {
  std::string name = "run";
  std::string data;               ///< data set; --data wins
  std::string backbone = "resnet8";
  int width = 16;                 ///< filters of the stem (ResNets), 8..256
  int block = 8;                  ///< filters a block, 8 or 16
  int image_size = 0;             ///< pixels a side, 0 = the data set's own (at most 224)
  std::uint64_t seed = 0;
  int batch = 128;                ///< 8..4096
  int train_images = 0;           ///< 0 = all
  int evaluation_images = 0;      ///< per evaluation set, 0 = all
  int calibration_images = 4096;  ///< 64..100000
  int checkpoint_steps = 400;     ///< steps between checkpoints, 1..1000000
  StageRecipe float_stage{12, 3e-3, 1.0, false, 0, 0, {}};
  std::vector<StageRecipe> supernet{StageRecipe{}};  ///< one after the other; in JSON an object where there is one, else a list
  std::vector<PathRecipe> paths;
  std::string safe_anchor;        ///< runs when the policy cannot be trusted; empty: the first path
  PolicyRecipe policy;
  nlohmann::json method;  ///< {"name": …, the method's own settings, which it reads itself}; null = dqmq
};

/// Throws Error(kData) on unknown keys, wrong types, values out of range.
Recipe recipe_from_json(const nlohmann::json& json, const std::string& where);
nlohmann::json recipe_to_json(const Recipe& recipe);
/// The resolved recipe of a run folder (its recipe.json).  Throws Error(kData) if there is none.
Recipe read_run_recipe(const std::string& run);
/// Applies "a.b=c" (c as JSON, or text).  Throws Error(kUsage).
void apply_setting(nlohmann::json* recipe, const std::string& setting);

/// The recipe's paths on a network.  Throws Error(kData) if they do not fit.
std::vector<PathSpec> make_paths(const Recipe& recipe, const Network& network, const BitSpace& space);
/// All bit-widths that the recipe's paths use, ascending.
std::vector<int> bits_of(const Recipe& recipe);

}  // namespace bitpilot
