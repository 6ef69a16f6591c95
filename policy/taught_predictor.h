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
  /// Subnets [from, to).
  JudgedSubnets part(std::size_t from, std::size_t to) const;
};

/// How well a ranking agrees with accuracies: over all pairs, and over those whose costs differ by at most a tenth.
struct RankAgreement {
  double kendall = 0;
  BandedCorrelation in_bands;
};
RankAgreement rank_agreement(const std::vector<double>& ranking, const JudgedSubnets& real);

/// What a predictor is worth on subnets that it was not taught on.
struct PredictorReport {
  std::size_t taught = 0, held_back = 0;
  RankAgreement learned, mean_bits;
  RankAgreement loss;  ///< of the same subnets on the same pictures: what it lacks of 1 is mostly the pictures' chance
};

struct TaughtPredictor {
  AccuracyPredictor predictor;
  PredictorReport report;
};

/// Teaches a predictor on the first `taught` of the judged subnets and tests it on the others; at least one of each.
TaughtPredictor teach_predictor(const JudgedSubnets& judged, std::size_t taught, const BitSpace& space, const PredictorOptions& options);

/// {"taught", "held_back", "learned" | "mean_bits" | "loss": {"kendall", "kendall_in_bands", "pairs_in_bands"}}
nlohmann::json to_json(const PredictorReport& report);
/// One line if the predictor ranks worse than mean bits do, over all pairs or in bands of cost; else empty.
std::string predictor_warning(const PredictorReport& report);

}  // namespace bitpilot
