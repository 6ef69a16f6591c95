#include "policy/prices.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "policy/hybrid_learner.h"
#include "policy/policy_sweep.h"
#include "runtime/core/error.h"
#include "runtime/policy_rules.h"

namespace bitpilot {
namespace {

/// Rows of several tables, one below the other.
class Pictures {
 public:
  Pictures(const ModelData& model, const std::vector<const OutcomeTable*>& tables) {
    const double policy_cost = policy_relative_cost(model);
    for (const OutcomeTable* table : tables) {
      sweeps_.emplace_back(model, *table, policy_cost);
      std::unordered_map<std::uint32_t, std::size_t> known;  // the same index in another set is another picture
      for (const std::uint32_t index : table->index) {
        const auto [at, added] = known.emplace(index, count_);
        if (added) ++count_;
        picture_.push_back(at->second);
      }
    }
  }

  const PolicyParameters& parameters() const { return sweeps_.front().head().parameters(); }

  double accuracy_of(int anchor) const {
    double right = 0;
    for (const PolicySweep& sweep : sweeps_)
      for (std::size_t i = 0; i < sweep.size(); ++i) right += sweep.correct(i, anchor) ? 1 : 0;
    return right / static_cast<double>(picture_.size());
  }

  /// Mean over all rows of what `of` says of (sweep, row, choice at this lambda).
  template <class Of>
  ClusteredMean mean(double lambda, const Of& of) const {
    std::vector<double> values;
    values.reserve(picture_.size());
    for (const PolicySweep& sweep : sweeps_) {
      const std::vector<PolicyChoice> choices = sweep.choose(lambda);
      for (std::size_t i = 0; i < choices.size(); ++i) values.push_back(of(sweep, i, choices[i]));
    }
    return clustered_mean(values, picture_, count_);
  }

 private:
  std::vector<PolicySweep> sweeps_;
  std::vector<std::size_t> picture_;
  std::size_t count_ = 0;  ///< of different pictures
};

/// The table's points, closer together where the cost is steep in lambda.
class PriceList {
 public:
  PriceList(const Pictures& all, const Pictures& unseen, int reference, double z)
      : all_(all), unseen_(unseen), reference_(reference), accuracy_(unseen.accuracy_of(reference)), z_(z) {}

  std::vector<Price> over(const std::vector<double>& lambdas) {
    for (const double lambda : lambdas) {
      const Price next = at(lambda);
      if (!table_.empty()) fill(Price(table_.back()), next);
      table_.push_back(next);
    }
    return std::move(table_);
  }

 private:
  static constexpr double kLargestGap = 0.01;     // between neighbours, of the cost: straight lines between them do
  static constexpr std::size_t kMostPoints = 1000;

  Price at(double lambda) const {
    const ClusteredMean spent = all_.mean(
        lambda, [](const PolicySweep& sweep, std::size_t, const PolicyChoice& choice) { return sweep.cost_of(choice); });
    const ClusteredMean lost =
        unseen_.mean(lambda, [&](const PolicySweep& sweep, std::size_t i, const PolicyChoice& choice) {
          return (sweep.correct(i, reference_) ? 1.0 : 0.0) - (sweep.correct(i, choice.last()) ? 1.0 : 0.0);
        });
    return {lambda, spent.mean, spent.standard_error, accuracy_ - lost.mean, lost.mean,
            lost.mean + z_ * lost.standard_error};
  }

  void fill(const Price& left, const Price& right) {
    if (std::abs(left.relative - right.relative) <= kLargestGap * left.relative ||
        right.lambda / left.lambda < kJumpRatio || table_.size() >= kMostPoints)
      return;
    const Price middle = at(std::sqrt(left.lambda * right.lambda));
    fill(left, middle);
    table_.push_back(middle);
    fill(middle, right);
  }

  const Pictures &all_, &unseen_;
  int reference_;
  double accuracy_;  ///< of the reference
  double z_;
  std::vector<Price> table_;
};

int reference_of(const ModelData& model, const Pictures& pictures, const std::string& name) {
  int reference = -1;
  double best = -1;
  for (std::size_t k = 0; k < model.anchors.size(); ++k) {
    if (!name.empty() && model.anchors[k].name != name) continue;
    const double accuracy = pictures.accuracy_of(static_cast<int>(k));
    if (accuracy <= best) continue;
    best = accuracy;
    reference = static_cast<int>(k);
  }
  if (reference < 0)
    throw Error(ExitCode::kUsage, "no anchor is called '" + name + "'", "policy.reference",
                "name one of the model's anchors");
  return reference;
}

}  // namespace

Prices set_prices(ModelData& model, const PriceOptions& options, const std::vector<const OutcomeTable*>& unseen,
                  const std::vector<const OutcomeTable*>& fitted) {
  std::vector<const OutcomeTable*> both = unseen;
  both.insert(both.end(), fitted.begin(), fitted.end());
  const Pictures pictures(model, unseen), all(model, both);
  const int reference = reference_of(model, pictures, options.reference_anchor);
  Prices prices;
  prices.reference = model.anchors[static_cast<std::size_t>(reference)].name;
  prices.reference_accuracy = pictures.accuracy_of(reference);
  const PolicyParameters& p = pictures.parameters();
  prices.table = 
      PriceList(all, pictures, reference, options.one_sided_z).over(log_spaced(p.lambda_low, p.lambda_high, options.points));
  model.budget.clear();
  for (const Price& price : prices.table) model.budget.push_back({price.lambda, price.relative});
  const auto least = std::min_element(prices.table.begin(), prices.table.end(), [](const Price& a, const Price& b) {
    return a.loss_upper < b.loss_upper;
  });
  prices.chosen = static_cast<std::size_t>(least - prices.table.begin());
  prices.kept = least->loss_upper <= options.allowed_loss;
  for (std::size_t i = prices.chosen; i < prices.table.size() && prices.table[i].loss_upper <= options.allowed_loss; ++i)
    prices.chosen = i;
  model.default_lambda = prices.table[prices.chosen].lambda;
  return prices;
}

nlohmann::json Prices::to_json() const {
  const Price& price = table[chosen];
  return {{"reference", {{"anchor", reference}, {"accuracy", reference_accuracy}}},
          {"default",
           {{"lambda", price.lambda},
            {"relative", price.relative},
            {"relative_standard_error", price.relative_error},
            {"accuracy", price.accuracy},
            {"loss", price.loss},
            {"loss_upper", price.loss_upper},
            {"kept", kept}}}};
}

bool networks_decide(const ModelData& model) {
  const PolicyParameters p = unpack_policy(model);
  return p.first_weight != 0 || p.stop_weight != 0;
}

double promised_cost(const std::vector<BudgetPoint>& table, double lambda) {
  if (table.empty()) throw Error(ExitCode::kBug, "the budget table is empty", "promised_cost", "report this");
  const auto above = std::find_if(table.begin(), table.end(), [&](const BudgetPoint& p) { return p.lambda >= lambda; });
  if (above == table.begin()) return table.front().relative;
  if (above == table.end()) return table.back().relative;
  const BudgetPoint &left = *(above - 1), &right = *above;
  return left.relative + (lambda - left.lambda) / (right.lambda - left.lambda) * (right.relative - left.relative);
}

ClusteredMean clustered_mean(const std::vector<double>& values, const std::vector<std::size_t>& picture,
                             std::size_t pictures) {
  if (pictures < 2 || values.empty())
    return {values.empty() ? 0.0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size()),
            std::numeric_limits<double>::infinity()};
  ClusteredMean result;
  const double rows = static_cast<double>(values.size()), n = static_cast<double>(pictures);
  for (const double value : values) result.mean += value / rows;
  std::vector<double> deviation(pictures, 0.0);
  for (std::size_t i = 0; i < values.size(); ++i) deviation[picture[i]] += values[i] - result.mean;
  double square = 0;
  for (const double d : deviation) square += d * d;
  result.standard_error = std::sqrt(square * n / (n - 1)) / rows;
  return result;
}

}  // namespace bitpilot
