#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "env/outcomes.h"

namespace bitpilot {

/// How the prices of a fitted policy are set.
struct PriceOptions {
  std::string reference_anchor;   ///< whose accuracy the default price must keep; empty: the most accurate one
  double allowed_loss = 0.0015;   ///< of accuracy against the reference, 0..1
  double one_sided_z = 1.2815516; ///< normal quantile of the bound on that loss; 1.28: it holds with 90 %
  int points = 129;  ///< of the table, lambdas evenly spaced in logarithm over the policy's range, more where the cost is steep.
                     ///< Where the first look changes the cost jumps: no price meets a budget inside the jump
};

/// One price on a set of pictures.
struct Price {
  double lambda = 0;
  double relative = 0;        ///< mean relative cost, the policy's own included
  double relative_error = 0;  ///< its standard error over pictures
  double accuracy = 0;        ///< on the unseen pictures, as the losses
  double loss = 0;        ///< paired: accuracy of the reference minus the policy's, mean over draws
  double loss_upper = 0;  ///< one-sided upper bound of it
};

struct Prices {
  std::string reference;            ///< anchor's name
  double reference_accuracy = 0;
  std::vector<Price> table;         ///< ascending lambda
  std::size_t chosen = 0;           ///< the default's place in `table`
  bool kept = false;                ///< its bound is within the allowed loss; false: no price's is, the least bound was taken
  nlohmann::json to_json() const;   ///< without the table
};

/// Measures the policy of `model` at every lambda of the table and writes model.budget and model.default_lambda.
/// `unseen`: tables (not empty) of pictures that nothing which decides was trained on, neither the backbone nor the
/// policy's networks (networks_decide); `fitted`: tables of pictures that the networks know and the backbone does not.
/// Costs are means over all of them, because which pictures need a second look is the largest error of a budget (1 % for
/// 5,000 pictures) and a cost reads no label; losses of accuracy are means over `unseen` alone.  All drawn as the
/// mixture is drawn, so that a budget holds on the mixture.  Several draws of one picture (equal `index` within a table)
/// count as one observation of the errors.
///
/// The default: from the price with the least bound on, ever cheaper prices as long as the upper bound of the paired
/// loss stays within allowed_loss; the first that breaks it ends the walk.  A mean within the limit is too little: the
/// cheapest of many noisy means is chosen for its noise, while a walk in fixed order tests one price at a time.
/// Throws Error(kUsage) if no anchor has the reference's name.
Prices set_prices(ModelData& model, const PriceOptions& options, const std::vector<const OutcomeTable*>& unseen,
                  const std::vector<const OutcomeTable*>& fitted = {});

/// Whether networks fitted to single pictures have a say in the model's policy (beside tables of few parameters).
bool networks_decide(const ModelData& model);

/// Mean relative cost that the model's table promises at `lambda`: linear between its points, the nearest end outside.
double promised_cost(const std::vector<BudgetPoint>& table, double lambda);

/// Mean over rows and its standard error when rows of equal `picture` (0 .. pictures - 1) are draws of one picture.
/// One picture alone: the error is infinite.
struct ClusteredMean {
  double mean = 0, standard_error = 0;
};
ClusteredMean clustered_mean(const std::vector<double>& values, const std::vector<std::size_t>& picture,
                             std::size_t pictures);

}  // namespace bitpilot
