#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "env/outcomes.h"
#include "policy/first_look.h"
#include "policy/policy_sweep.h"
#include "policy/quality_estimator.h"
#include "policy/stop_rule.h"
#include "runtime/deciding_times.h"

namespace bitpilot {

/// How to fit a policy of one or two looks to a trained and calibrated model.
struct PolicyOptions {
  std::uint64_t seed = 0;
  int looks = 2;  ///< at most; 1: no stop rule, and the first look's network is fitted to what a first look alone is worth
  EstimatorOptions estimator;
  StopRuleOptions stop;
  FirstLookOptions first;
  double lambda_low = 1e-3, lambda_high = 32;  ///< task loss per relative cost
  int knots = 33;                              ///< of the tables over lambda
  std::string reference_anchor;  ///< curves are scored up to its cost; empty: the most accurate anchor on validation
  std::vector<StopSignal> signals{StopSignal::kEntropy, StopSignal::kOneMinusTop, StopSignal::kOneMinusMargin};
  std::vector<double> error_weights{0.0, 0.5, 1.0};
  std::vector<double> residual_weights{0.0, 0.25, 0.5, 0.75,
                                       1.0};  ///< of both networks; 0 = pure cascade, one first look per lambda
  std::vector<bool> stem{false,
                         true};   ///< whether the estimator reads the stem's means; the later must beat the earlier
  double least_gain = 1e-4;       ///< accuracy that a richer choice must bring on validation to be taken (shrinkage)
  std::optional<CostTable> cost;  ///< empty: BOPs; a table in "ms" prices looks in time
  DecidingTimes deciding;         ///< with a table in "ms"
  std::function<void(const std::string&)> log;  ///< one line per stage
};

/// What fit_policy did, for reports.
struct PolicyResult {
  double policy_cost = 0;            ///< relative
  std::vector<std::string> dropped;  ///< anchors that the policy does not use: dominated ones (dominating_anchors), then those
                                     ///< that do not help on validation
  nlohmann::json log;                ///< every choice made on validation, with the scores
};

/// Supervised half of the hybrid objective's policy side: fits temperatures, estimator, stop rule and first look on
/// full information (`policy_split`, without the anchors that are dominated there), chooses signal, shrinkage and anchors
/// on `validation`, and fills temperatures, policy, statistics and ranges of `model`; prices are another matter
/// (set_prices).  About a minute for 20,000 pictures x 8 anchors on one core.
/// Deterministic for a seed.
PolicyResult fit_policy(ModelData& model, const PolicyOptions& options, const OutcomeTable& policy_split,
                        const OutcomeTable& validation);

/// Mean accuracy of the upper hull of `points` over log-spaced costs between `low` and `high`: one number for a whole
/// cost-accuracy curve.
double curve_score(const std::vector<SweepPoint>& points, double low, double high);

/// Relative cost of observing and deciding, in the unit that the policy is priced in: BOPs over uniform 8-bit, or measured time over it.
double policy_relative_cost(const ModelData& model);

}  // namespace bitpilot
