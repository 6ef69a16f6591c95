#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "runtime/commands/picture_judge.h"

namespace bitpilot {

/// Collects judged pictures into an evaluation record.
class EvalTally {
 public:
  /// `classes`: class of the model for each label of the set.
  EvalTally(const ModelData& model, std::vector<int> classes);
  /// Throws Error(kData) on a picture without a label.
  void add(const JudgedPicture& picture);
  std::uint64_t images() const { return static_cast<std::uint64_t>(relative_.size()); }
  double accuracy() const;
  double mean_relative() const;
  /// Mean of JudgedPicture::total_ms, as in all of latency_ms.
  double mean_ms() const;
  /// accuracy, accuracy_ci95, ece, bops, bits, configs, uncalibrated, by_family, latency_ms of the record.  At least
  /// one picture.
  nlohmann::ordered_json record() const;

 private:
  struct Group {
    std::uint64_t images = 0, correct = 0;
    double relative = 0, weight_bits = 0, activation_bits = 0;
  };
  struct Bin {
    std::uint64_t images = 0, correct = 0;
    double confidence = 0;
  };
  double calibration_error() const;
  double typical_ms() const;

  const ModelData& model_;
  std::vector<int> classes_;
  Group all_;
  std::map<std::string, std::map<int, Group>> groups_;
  std::map<std::string, std::vector<double>> configs_;  ///< milliseconds by looks
  std::vector<Bin> bins_;
  std::vector<double> relative_, bops_, milliseconds_;
  double policy_bops_ = 0;
  std::uint64_t uncalibrated_ = 0;
};

/// 95 % interval of a share (Wilson, 1927): `hits` of `count` > 0.
std::pair<double, double> wilson_interval(std::uint64_t hits, std::uint64_t count);
/// Value that `share` of the values (sorted, not empty) do not exceed: nearest rank.
double percentile(const std::vector<double>& sorted, double share);

}  // namespace bitpilot
