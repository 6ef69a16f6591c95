#include "policy/policy_report.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "env/reward_model.h"
#include "policy/budget_choices.h"
#include "policy/hybrid_learner.h"
#include "policy/paired_bootstrap.h"
#include "policy/prices.h"
#include "policy/static_hull.h"
#include "policy/threshold_cascade.h"
#include "runtime/core/random.h"

namespace bitpilot {
namespace {

using nlohmann::json;
using Correct = std::vector<std::uint8_t>;

std::vector<float> temperatures_of(const ModelData& model) {
  std::vector<float> values;
  for (const Anchor& anchor : model.anchors) values.push_back(anchor.temperature);
  return values;
}

AnchorCosts costs_of(const PolicyParameters& p) {
  return {{p.first_cost.begin(), p.first_cost.end()}, {p.second_cost.begin(), p.second_cost.end()}};
}

/// In milliseconds nobody measured it apart: the cascade then has it for nothing.
AnchorCosts with_confidence(AnchorCosts costs, const ModelData& model, const PolicyParameters& p) {
  if (p.cost_unit != "bops") return costs;
  return with_confidence(std::move(costs), static_cast<std::size_t>(model.network.classes()), bops_table(model.network, model.space).reference());
}

/// One set with everything that its rows are compared with.
class Judge {
 public:
  Judge(const ModelData& model, const ReportSet& set, const std::vector<CascadeCurve>& validation_cascades,
        const ReportOptions& options)
      : model_(model),
        set_(set),
        options_(options),
        policy_cost_(policy_relative_cost(model)),
        sweep_(model, *set.table, policy_cost_),
        validation_cascades_(validation_cascades) {
    const AnchorCosts costs = costs_of(sweep_.parameters());
    cascades_ = all_cascades(*set.table, temperatures_of(model), with_confidence(costs, model, sweep_.parameters()));
    statics_ = anchors_as_statics(model, *set.table, costs.first);
    own_ = statics_.size();
    statics_.insert(statics_.end(), set.rivals.begin(), set.rivals.end());
  }

  const PolicySweep& sweep() const { return sweep_; }

  json row(const std::vector<PolicyChoice>& choices, double lambda, double validation_cost) const {
    const SweepPoint point = sweep_.judge(choices, lambda);
    const Correct correct = correct_of(sweep_, choices);
    json entry{{"lambda", lambda},
               {"relative", point.relative},
               {"accuracy", point.accuracy},
               {"second_looks", point.escalated},
               {"validation_relative", validation_cost}};
    entry["hull"] = against_hull(correct, point.relative, own(), pairing());
    if (statics_.size() > own_) entry["hull_with_rivals"] = against_hull(correct, point.relative, statics_, pairing());
    if (!cascades_.empty()) {
      const auto cascade = [&](double saved) {
        return against_cascade(correct, point.relative - saved, cascades_[best_cascade(validation_cascades_, validation_cost - saved)],
                               model_, pairing());
      };
      entry["cascade"] = cascade(0);
      // The same choices without the range check and the quality estimate, which a cascade does not have either.
      if (const double saved = guard_relative_cost(model_); saved > 0) entry["cascade_without_guard"] = cascade(saved);
    }
    add_single(entry, correct, point.relative);
    return entry;
  }

  /// A changed policy's choices against the hull of the anchors at the cost that they had.
  json over_hull(const PolicySweep& changed, const std::vector<PolicyChoice>& choices) const {
    const SweepPoint point = changed.judge(choices);
    const json gain = against_hull(correct_of(changed, choices), point.relative, own(), pairing())["gain"];
    return {{"relative", point.relative}, {"accuracy", point.accuracy}, {"gain_over_hull", gain["mean"]}, {"gain_over_hull_ci95", gain["ci95"]}};
  }

  static Correct correct_of(const PolicySweep& sweep, const std::vector<PolicyChoice>& choices) {
    Correct correct(choices.size());
    for (std::size_t i = 0; i < choices.size(); ++i) correct[i] = sweep.correct(i, choices[i].last());
    return correct;
  }
  Interval compare(const Correct& ours, const std::vector<double>& theirs) const {
    return paired_gain(ours, theirs, set_.table->index, options_.seed, options_.resamples);
  }

 private:
  Pairing pairing() const { return {&set_.table->index, options_.seed, options_.resamples}; }

  std::vector<StaticRival> own() const {
    return {statics_.begin(), statics_.begin() + static_cast<std::ptrdiff_t>(own_)};
  }

  void add_single(json& entry, const Correct& correct, double relative) const {
    int best = -1;
    for (std::size_t s = 0; s < own_; ++s) {
      if (statics_[s].relative <= relative &&
          (best < 0 || share_right(statics_[s].correct) > share_right(statics_[static_cast<std::size_t>(best)].correct)))
        best = static_cast<int>(s);
    }
    if (best < 0) return;
    const StaticRival& rival = statics_[static_cast<std::size_t>(best)];
    entry["best_single"] = {{"name", rival.name},
                            {"relative", rival.relative},
                            {"accuracy", share_right(rival.correct)},
                            {"gain", interval_json(compare(correct, {rival.correct.begin(), rival.correct.end()}))}};
  }

  const ModelData& model_;
  const ReportSet& set_;
  const ReportOptions& options_;
  double policy_cost_;
  PolicySweep sweep_;
  const std::vector<CascadeCurve>& validation_cascades_;
  std::vector<CascadeCurve> cascades_;
  std::vector<StaticRival> statics_;
  std::size_t own_ = 0;
};

/// Accuracy at equal mean cost with something about the policy changed.
json at_equal_cost(const Judge& judge, const PolicySweep& changed, double relative) {
  return judge.over_hull(changed, choose_at_cost(changed, around_cost(changed, relative), relative));
}

json ablations(const ModelData& model, const Judge& judge, const OutcomeTable& table, double relative) {
  PolicySweep sweep(model, table, policy_relative_cost(model));
  const PolicyParameters whole = sweep.parameters();
  json result;
  result["whole"] = at_equal_cost(judge, sweep, relative);
  sweep.parameters().first_weight = 0;
  result["without_first_look_network"] = at_equal_cost(judge, sweep, relative);
  sweep.parameters() = whole;
  sweep.parameters().stop_weight = 0;
  result["without_stop_network"] = at_equal_cost(judge, sweep, relative);
  sweep.parameters().first_weight = 0;
  result["without_networks"] = at_equal_cost(judge, sweep, relative);
  const double gain = result["whole"]["gain_over_hull"];
  for (auto& [name, entry] : result.items())  // how much of the gain goes with the part that was left out
    if (name != "whole") entry["share_of_gain"] = gain != 0 ? (gain - entry["gain_over_hull"].get<double>()) / gain : 0.0;
  return result;
}

std::vector<std::size_t> permutation(std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(seed, "policy_report.shuffle");
  for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

json shuffles(const ModelData& model, const Judge& judge, const OutcomeTable& table, double relative,
              std::uint64_t seed) {
  const auto order = permutation(table.size(), seed);
  const std::pair<const char*, Permutations> tests[] = {
      {"embedding", {order, {}}}, {"scores", {{}, order}}, {"both", {order, order}}};
  json result;
  for (const auto& [name, permutations] : tests) {
    const PolicySweep sweep(model, table, policy_relative_cost(model), permutations);
    result[name] = at_equal_cost(judge, sweep, relative);
  }
  return result;
}

/// What was promised, and how far this set's pictures are from it: deviation is relative (0.01 = 1 % dearer), with the standard error that
/// as many pictures leave in it.
json budget_json(const PolicySweep& sweep, const std::vector<PolicyChoice>& choices, double promised) {
  std::map<std::uint32_t, std::size_t> known;
  std::vector<double> cost;
  std::vector<std::size_t> picture;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    cost.push_back(sweep.cost_of(choices[i]));
    picture.push_back(known.emplace(sweep.table().index[i], known.size()).first->second);
  }
  const ClusteredMean spent = clustered_mean(cost, picture, known.size());
  return {{"promised", promised},
          {"deviation", spent.mean / promised - 1},
          {"standard_error", spent.standard_error / promised}};
}

/// Over all prices of a sweep: the largest deviation from the table and the mean one, which keeps its sign.
json budget_summary(const json& sweep) {
  double largest = 0, mean = 0;
  for (const json& row : sweep) {
    const double deviation = row["budget"]["deviation"];
    largest = std::max(largest, std::abs(deviation));
    mean += deviation / static_cast<double>(sweep.size());
  }
  return {{"largest_deviation", largest}, {"mean_deviation", mean}};
}

std::string choice_name(const ModelData& model, const PolicyChoice& choice) {
  std::string name = model.anchors[static_cast<std::size_t>(choice.first)].name;
  if (choice.second >= 0) name += ">" + model.anchors[static_cast<std::size_t>(choice.second)].name;
  return choice.fallback ? "fallback:" + name : name;
}

/// What was chosen, how often, by family; and the same configurations dealt out at random.
json shares(const ModelData& model, const Judge& judge, const std::vector<PolicyChoice>& choices) {
  const PolicySweep& sweep = judge.sweep();
  std::map<std::string, double> share;
  std::vector<double> last(model.anchors.size(), 0);
  std::map<std::string, std::array<double, 4>> family;  // pictures, cost, right, second looks
  const double n = static_cast<double>(choices.size());
  for (std::size_t i = 0; i < choices.size(); ++i) {
    share[choice_name(model, choices[i])] += 1 / n;
    last[static_cast<std::size_t>(choices[i].last())] += 1 / n;
    auto& entry = family[sweep.table().families[sweep.table().family[i]]];
    entry[0] += 1;
    entry[1] += sweep.cost_of(choices[i]);
    entry[2] += sweep.correct(i, choices[i].last());
    entry[3] += choices[i].second >= 0 ? 1 : 0;
  }
  std::vector<double> dealt(choices.size(), 0);  // probability that a configuration drawn from the histogram is right
  for (std::size_t i = 0; i < choices.size(); ++i)
    for (std::size_t k = 0; k < last.size(); ++k) dealt[i] += last[k] * sweep.correct(i, static_cast<int>(k));
  json by_family;
  for (const auto& [name, entry] : family)
    by_family[name] = {{"images", entry[0]},
                       {"relative", entry[1] / entry[0]},
                       {"accuracy", entry[2] / entry[0]},
                       {"second_looks", entry[3] / entry[0]}};
  const auto serving = std::count_if(share.begin(), share.end(), [](const auto& s) { return s.second >= 0.05; });
  return {{"looks", share},
          {"serving_5_percent", serving},
          {"same_histogram_at_random",
           {{"accuracy", std::accumulate(dealt.begin(), dealt.end(), 0.0) / n},
            {"gain", interval_json(judge.compare(Judge::correct_of(sweep, choices), dealt))}}},
          {"by_family", by_family}};
}

/// How the estimated severity ranks the true one, and its mean error in steps; on held-out families the drop shows what it never saw.
json quality(const PolicySweep& sweep) {
  std::vector<double> estimated, real;
  double error = 0;
  for (std::size_t i = 0; i < sweep.size(); ++i) {
    estimated.push_back(sweep.observation(i).severity);
    real.push_back(sweep.table().severity[i]);
    error += std::abs(estimated.back() - real.back()) / static_cast<double>(sweep.size());
  }
  json result{{"severity_error", error}};
  if (std::adjacent_find(real.begin(), real.end(), std::not_equal_to<>()) != real.end())  // clean pictures alone have nothing to rank
    result["severity_rank_correlation"] = spearman(estimated, real);
  return result;
}

}  // namespace

json policy_report(const ModelData& model, const OutcomeTable& validation, const std::vector<ReportSet>& sets,
                   const ReportOptions& options) {
  const double policy_cost = policy_relative_cost(model);
  const PolicySweep on_validation(model, validation, policy_cost);
  const PolicyParameters parameters = unpack_policy(model);
  const auto validation_cascades =
      all_cascades(validation, temperatures_of(model), with_confidence(costs_of(parameters), model, parameters));
  const BudgetRange range = budget_range(model.budget);
  const std::vector<double> budgets = log_spaced(range.least * 1.01, std::max(range.least * 1.02, range.most), options.budgets);
  json report{{"policy_relative", policy_cost},         {"policy_bops", PolicyHead(model).bops()},
              {"default_lambda", model.default_lambda}, {"first_weight", parameters.first_weight},
              {"stop_weight", parameters.stop_weight},  {"offsets", !parameters.offset.empty()}};
  for (const ReportSet& set : sets) {
    Judge judge(model, set, validation_cascades, options);
    json& entry = report["sets"][set.name];
    for (const double budget : budgets) {
      const auto choices = choose_at_cost(judge.sweep(), model.budget, budget);
      const double on_its_own = on_validation.judge(choose_at_cost(on_validation, model.budget, budget)).relative;
      entry["sweep"].push_back(judge.row(choices, lambda_for(model.budget, budget), on_its_own));
      entry["sweep"].back()["budget"] = budget_json(judge.sweep(), choices, budget);
    }
    entry["budget"] = budget_summary(entry["sweep"]);
    const auto choices = judge.sweep().choose(model.default_lambda);
    entry["default"] = judge.row(choices, model.default_lambda, on_validation.at(model.default_lambda).relative);
    entry["default"]["budget"] = budget_json(judge.sweep(), choices, promised_cost(model.budget, model.default_lambda));
    entry["default"]["choices"] = shares(model, judge, choices);
    entry["default"]["policy_share"] = policy_cost / entry["default"]["relative"].get<double>();
    entry["quality"] = quality(judge.sweep());
    const double relative = entry["default"]["relative"];
    entry["ablations"] = ablations(model, judge, *set.table, relative);
    entry["shuffles"] = shuffles(model, judge, *set.table, relative, options.seed);
  }
  return report;
}

}  // namespace bitpilot
