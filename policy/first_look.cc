#include "policy/first_look.h"

#include <cmath>

#include "policy/export.h"
#include "policy/ridge_regression.h"
#include "runtime/core/random.h"

namespace bitpilot {
namespace {

constexpr double kRidge = 20;  // of thousands of pictures: keeps inputs that are all the same from being divided by nothing

double value_to_go(const PolicySweep& sweep, const Rows& losses, const PolicyParameters& p, std::size_t sample,
                   int first, double lambda) {
  const int second = sweep.second_of(sample, first, lambda);
  const double loss = losses.row(sample)[static_cast<std::size_t>(second >= 0 ? second : first)];
  return loss + (second >= 0 ? lambda * p.second_cost[static_cast<std::size_t>(second)] : 0.0);
}

}  // namespace

double knot_lambda(const PolicyParameters& p, std::size_t knot) {
  return p.lambda_low *
         std::pow(p.lambda_high / p.lambda_low, static_cast<double>(knot) / static_cast<double>(p.knots() - 1));
}

void fit_first_values(const PolicySweep& sweep, const Rows& losses, PolicyParameters& p) {
  for (std::size_t knot = 0; knot < p.knots(); ++knot) {
    const double lambda = knot_lambda(p, knot);
    for (std::size_t k = 0; k < p.anchors(); ++k) {
      double sum = 0;
      for (std::size_t i = 0; i < sweep.size(); ++i)
        sum += value_to_go(sweep, losses, p, i, static_cast<int>(k), lambda);
      p.first_value[knot][k] = static_cast<float>(sum / static_cast<double>(std::max<std::size_t>(1, sweep.size())));
    }
  }
}

IntegerMlp fit_first_residual(const PolicySweep& sweep, const Rows& losses, const PolicyParameters& p,
                              const FirstLookOptions& options) {
  const std::size_t anchors = p.anchors();
  if (anchors < 2) return {};
  Rows inputs{static_cast<int>(sweep.embedding(0).size()) + 1, {}}, targets{static_cast<int>(anchors), {}};
  for (std::size_t i = 0; i < sweep.size(); ++i) {
    Random random(options.seed, "policy.first_look.lambda", i);
    for (int d = 0; d < options.draws; ++d) {
      const auto knot = static_cast<std::size_t>(random.below(p.knots()));
      const double lambda = knot_lambda(p, knot);
      inputs.values.insert(inputs.values.end(), sweep.embedding(i).begin(), sweep.embedding(i).end());
      inputs.values.push_back(static_cast<float>(lambda_code(lambda, p.lambda_low, p.lambda_high)) * kPolicyInputStep);
      std::vector<double> deviation(anchors);
      double mean = 0;
      for (std::size_t k = 0; k < anchors; ++k) {
        deviation[k] = value_to_go(sweep, losses, p, i, static_cast<int>(k), lambda) - p.first_value[knot][k];
        mean += deviation[k] / static_cast<double>(anchors);
      }
      for (std::size_t k = 0; k < anchors; ++k) targets.values.push_back(static_cast<float>(deviation[k] - mean));
    }
  }
  if (options.hidden == 0) return to_integer(fit_ridge_regression(inputs, targets, kRidge), inputs);
  FitOptions fit;
  fit.hidden = {options.hidden};
  fit.epochs = options.epochs;
  fit.batch = 1024;
  fit.weight_decay = options.weight_decay;
  fit.seed = options.seed + 5;
  fit.start_at_zero = true;
  return to_integer(fit_regression(inputs, targets, {}, fit), inputs);
}

}  // namespace bitpilot
