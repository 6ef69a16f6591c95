#include "experiments/path_draws.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "env/outcomes.h"
#include "policy/stop_rule.h"
#include "runtime/core/cost.h"
#include "runtime/core/random.h"
#include "runtime/look_confidence.h"
#include "runtime/policy_rules.h"

namespace bitpilot {
namespace {

/// The stop rule of one batch: what its pictures' looks were worth.
class BatchPolicy {
 public:
  BatchPolicy(const ModelData& model, const AnchorCosts& costs, OutcomeTable table) : table_(std::move(table)) {
    const std::size_t k = table_.anchors;
    p_.first_cost.assign(costs.first.begin(), costs.first.end());
    p_.second_cost.assign(costs.second.begin(), costs.second.end());
    p_.signal = StopSignal::kOneMinusMargin;
    p_.first_value.assign(2, std::vector<float>(k, 0));
    p_.first_allowed.assign(2, std::vector<std::uint8_t>(k, 1));
    std::vector<std::uint8_t> pairs(k * k);
    for (std::size_t a = 0; a < k; ++a)
      for (std::size_t b = 0; b < k; ++b) pairs[a * k + b] = p_.first_cost[b] > p_.first_cost[a] ? 1 : 0;
    p_.pair_allowed.assign(2, pairs);
    StopRuleOptions options;
    options.epochs = 0;  // curves alone
    options.points = 16;
    fit_stop_rule(model, table_, options, p_);
    losses_ = mixed_losses(table_, std::vector<float>(k, 1.0F), options.error_weight);
    for (std::size_t i = 0; i < table_.size(); ++i) {
      for (std::size_t path = 0; path < k; ++path) {
        const LookConfidence look = look_confidence(table_.scores_of(i, path), 1.0F);
        signal_.push_back(1.0F - (look.top - look.second));
      }
    }
  }

  /// The path that has the last word on every picture at a price.
  std::vector<std::size_t> last_looks(double lambda) const {
    std::vector<std::size_t> best;
    double best_value = 0;
    for (std::size_t first = 0; first < table_.anchors; ++first) {
      std::vector<std::size_t> last(table_.size());
      double value = lambda * p_.first_cost[first];
      for (std::size_t i = 0; i < table_.size(); ++i) {
        const int second = choose_second(p_, static_cast<int>(first), signal_[i * table_.anchors + first], no_residual_, lambda);
        last[i] = second >= 0 ? static_cast<std::size_t>(second) : first;
        const double more = second >= 0 ? lambda * p_.second_cost[static_cast<std::size_t>(second)] : 0.0;
        value += (losses_.row(i)[last[i]] + more) / static_cast<double>(table_.size());
      }
      if (!best.empty() && value >= best_value) continue;
      best_value = value;
      best = std::move(last);
    }
    return best;
  }

 private:
  OutcomeTable table_;
  PolicyParameters p_;
  Rows losses_;
  std::vector<float> signal_;  ///< [N][paths]
  std::vector<float> no_residual_ = std::vector<float>(table_.anchors, 0.0F);
};

OutcomeTable outcomes_of(const std::vector<torch::Tensor>& scores, const torch::Tensor& labels) {
  OutcomeTable table;
  table.anchors = scores.size();
  table.classes = static_cast<std::size_t>(scores.front().size(1));
  const torch::Tensor all = torch::stack(scores, 1).to(torch::kFloat32).contiguous(), whole = labels.to(torch::kLong).contiguous();
  table.scores.assign(all.data_ptr<float>(), all.data_ptr<float>() + all.numel());
  table.labels.assign(whole.data_ptr<std::int64_t>(), whole.data_ptr<std::int64_t>() + whole.numel());
  return table;
}

/// One price in each of `count` equal parts of the logarithmic range.
std::vector<double> draw_prices(const PathDrawOptions& options, std::int64_t step) {
  Random random(options.seed, "path draws", static_cast<std::uint64_t>(step));
  std::vector<double> prices;
  for (int d = 0; d < options.prices; ++d)
    prices.push_back(options.lambda_low * std::pow(options.lambda_high / options.lambda_low, (d + random.uniform()) / options.prices));
  return prices;
}

}  // namespace

PathShares policy_path_shares(const Network& network, const BitSpace& space, const std::vector<PathSpec>& paths,
                              const PathDrawOptions& options) {
  ModelData model;
  model.network = network;
  model.space = space;
  for (const PathSpec& path : paths) {
    Anchor anchor;
    anchor.name = path.name;
    anchor.config = path.config;
    anchor.temperature = 1;
    model.anchors.push_back(std::move(anchor));
  }
  const AnchorCosts costs = anchor_costs(model, bops_table(network, space));
  return [model, costs, options](std::int64_t step, const std::vector<torch::Tensor>& scores, const torch::Tensor& labels) {
    const auto pictures = labels.size(0), count = static_cast<std::int64_t>(scores.size());
    const double floor = options.coverage / static_cast<double>(count);
    torch::Tensor shares = torch::full({count, pictures}, floor, torch::kFloat32);
    const BatchPolicy policy(model, costs, outcomes_of(scores, labels));
    float* share = shares.data_ptr<float>();
    for (const double lambda : draw_prices(options, step)) {
      const std::vector<std::size_t> last = policy.last_looks(lambda);
      for (std::size_t i = 0; i < last.size(); ++i)
        share[last[i] * static_cast<std::size_t>(pictures) + i] += static_cast<float>((1 - options.coverage) / options.prices);
    }
    return shares;
  };
}

}  // namespace bitpilot
