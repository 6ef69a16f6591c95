#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "experiments/finish_run.h"
#include "experiments/training_data.h"
#include "policy/config_judge.h"

namespace bitpilot {

/// Judges any configuration without exporting it: the fake-quantised network with the statistics of each batch of 256 of the `samples`, as
/// free configurations are trained.  Nearest-path running averages fit mixed configurations badly, which this avoids.  Works on
/// `threads` threads; the result does not depend on them.  `network` must outlive it.
class BatchJudge {
 public:
  BatchJudge(QuantizedNetwork* network, const std::vector<Sample>& samples, int threads);
  /// `quantizers`: the arithmetic of the adaptive layers; nullptr: the network's own.
  SearchPoint operator()(const BitConfig& config, const Quantizers* quantizers = nullptr) const;

 private:
  QuantizedNetwork* network_;
  std::shared_ptr<const std::vector<TrainingBatch>> batches_;  // src: behind the stem
  int threads_;
  double pictures_;
};

/// What every configuration made of an evaluation set; correct: the pictures that were answered rightly, [config][picture].
struct ConfigTrials {
  std::vector<std::vector<std::uint8_t>> correct;
  std::vector<double> loss;          ///< [config] mean clipped cross-entropy
  std::vector<std::uint32_t> index;  ///< [picture] its source in the set
};

/// The three evaluation sets of the test split, as many pictures of each as the recipe asks for.
std::vector<std::vector<Sample>> test_samples(const FinishedTraining& training);
/// Runs every anchor of a model as integers on each of `sets`.
std::vector<ConfigTrials> try_model(const ModelData& model, const std::vector<std::vector<Sample>>& sets, int threads);
/// Judges configurations that were found after training, all alike: each gets its normalisation recalibrated on its own paths (no weight
/// moves), is exported and run as integers on each of `sets`.
std::vector<ConfigTrials> try_configs(const FinishedTraining& training, const std::vector<BitConfig>& configs,
                                      const std::vector<std::vector<Sample>>& sets);

/// A model of `paths` alone, normalisation recalibrated on each.  `quantizers`: the arithmetic to export; nullptr: the supernet's own.
ModelData export_paths(const FinishedTraining& training, std::vector<PathSpec> paths, std::shared_ptr<Quantizers> quantizers = nullptr);
/// The model exported anew with the supernet's paths and, behind them, found ones.  Normalisations of all are recalibrated on their own paths.
ModelData export_with(const FinishedTraining& training, const std::vector<PathSpec>& found);

/// The first configuration of `trials` against the mean of the others: accuracies, and what it gains over them, paired over pictures.
///   {"found": accuracy, "random_mean", "random_best", "images", "gain": {"mean": found - random_mean, "ci95", …}}
nlohmann::json gain_over_random(const ConfigTrials& trials, std::uint64_t seed);
/// A found configuration against random ones of equal cost, on the three evaluation sets of the test split: {SET: gain_over_random, …}.
nlohmann::json against_random(const FinishedTraining& training, const BitConfig& found, const std::vector<BitConfig>& random);

/// [[weight, activation], …] of the adaptive layers, as a recipe's "layers" has them; a narrow layer's blocks stand third.
nlohmann::json layers_json(const BitConfig& config, const BitSpace& space);

}  // namespace bitpilot
