#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "policy/accuracy_predictor.h"
#include "policy/config_judge.h"

namespace bitpilot {

/// Subnets and what they were judged to be worth, in the order of judging.
struct JudgedSubnets {
  std::vector<Subnet> subnets;
  std::vector<double> accuracies, losses;
  std::vector<double> costs;  ///< any unit, > 0
  void add(const Subnet& subnet, const SearchPoint& judged, double cost);
};

/// How well a ranking agrees with qualities: over all pairs, and over those whose costs differ by at most a tenth.
struct RankAgreement {
  double kendall = 0;
  BandedCorrelation in_bands;
};

/// What a predictor is worth on subnets that it was not taught on.  It is taught minus the loss, which tells subnets apart on far fewer
/// pictures than counted answers do.
struct PredictorReport {
  std::size_t taught = 0, tested = 0;
  struct {
    RankAgreement learned, mean_bits;
  } loss;  ///< with minus the tested subnets' losses
  struct {
    RankAgreement learned, mean_bits;
    RankAgreement loss;  ///< of the same subnets on the same pictures: what it lacks of 1 is mostly the pictures' chance
  } accuracy;            ///< with their accuracies
};

struct TaughtPredictor {
  AccuracyPredictor predictor;
  PredictorReport report;
};

/// Teaches a predictor on `lessons` and tests it on others; at least one of each.
TaughtPredictor teach_predictor(const JudgedSubnets& lessons, const JudgedSubnets& tested, const BitSpace& space, const PredictorOptions& options);

/// {"taught", "tested", "loss": {"learned" | "mean_bits": A}, "accuracy": {"learned" | "mean_bits" | "loss": A}},
/// A = {"kendall", "kendall_in_bands", "pairs_in_bands"}
nlohmann::json to_json(const PredictorReport& report);
/// One line if the predictor ranks losses worse than mean bits do, over all pairs or in bands of cost; else empty.
std::string predictor_warning(const PredictorReport& report);

}  // namespace bitpilot
