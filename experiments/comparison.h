#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "env/outcomes.h"

namespace bitpilot {

/// A fixed network that a policy is compared with: one anchor of a model trained alone, judged on the same pictures.
struct Rival {
  std::string run;     ///< as rival_run_names() calls it
  std::string anchor;  ///< " of NETWORK" behind it where that is not the model's
  BitConfig config;
  double bops = 0;                                 ///< of one picture
  std::vector<std::vector<std::uint8_t>> correct;  ///< [set][N]
  std::string name() const { return run + "/" + anchor; }
};
/// Names of rival runs, no two alike: the recipe's; the folder's where several runs have a recipe of one name.  `recipes` and `folders`: one
/// entry a run.  Throws Error(kUsage) if runs cannot be told apart so.
std::vector<std::string> rival_run_names(const std::vector<std::string>& recipes, const std::vector<std::string>& folders);

/// A model with what it does on the pictures of every evaluation set.
struct ComparedModel {
  const ModelData* data = nullptr;
  const OutcomeTable* validation = nullptr;
  std::vector<std::string> sets;          ///< names
  std::vector<const OutcomeTable*> tables;  ///< [set]
};

/// The evidence against networks trained alone (design 9).  `seed`, `resamples`: of the paired bootstrap over pictures.
///   shared    every anchor minus the rival of the same configuration, on every set; under the anchor's name, from the second such rival
///             on with the rival's run (and its anchor, if that stands there already) behind it
///   differences  of a model without a policy: every anchor minus every rival on every set, with the ratio of their BOPs, and the "method"
///             of its record: ANCHOR_minus_ and the rival's
///   rivals    every rival on every set, with the "method" of its record: "alone_" and its anchor; where several rivals' anchors are called
///             alike, its run instead (and its anchor, if the run has several)
///   policy    the policy at its default price ("wanted_bops" null) and at each of `bops` (prices from the model's table, as `eval --budget`
///             takes them), minus each anchor (with the ratio of their BOPs), minus the hull of the anchors, minus the hull of those and the
///             rivals (null without any), minus the hull of the rivals, and minus its own best threshold cascade (pair chosen on
///             validation), all read at the cost that the policy really had on that set; once more without the guard ("guard" false)
///             where that saves anything
///   cascades  first look > second look for each named pair at each wanted cost (threshold chosen on validation): minus the second look
///             alone, minus the mix of the two, and minus the hull of the rivals that run at the pair's own bits
/// The hull of the rivals is null where no mix of them costs as much.  Accuracies and their differences are 0..1.
struct ComparisonRequest {
  std::vector<double> bops;
  struct Pair {
    std::string first, second;
    std::vector<double> bops;
  };
  std::vector<Pair> pairs;
  std::uint64_t seed = 0;
  int resamples = 1000;
};
/// Throws Error(kUsage) on a pair that names no anchor, and on `bops` asked of a policy that is priced in time.
nlohmann::json compare(const ComparedModel& model, const std::vector<Rival>& rivals, const ComparisonRequest& request);

}  // namespace bitpilot
