#include "experiments/comparison.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "policy/budget_choices.h"
#include "policy/equal_cost.h"
#include "policy/hybrid_learner.h"
#include "policy/paired_bootstrap.h"
#include "policy/static_hull.h"
#include "policy/threshold_cascade.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

using nlohmann::json;
using Correct = std::vector<std::uint8_t>;

/// Fixed configurations with their hull.
struct Statics {
  std::vector<std::string> names;
  std::vector<double> bops;
  std::vector<const Correct*> correct;

  void add(const std::string& name, double cost, const Correct& right) {
    names.push_back(name);
    bops.push_back(cost);
    correct.push_back(&right);
  }
};

class Comparison {
 public:
  Comparison(const ComparedModel& model, const std::vector<Rival>& rivals, const ComparisonRequest& request)
      : model_(model), rivals_(rivals), request_(request), bops_(bops_table(model.data->network, model.data->space)),
        costs_(anchor_costs(*model.data, bops_)),
        cascade_costs_(with_confidence(costs_, static_cast<std::size_t>(model.data->network.classes()), bops_.reference())) {
    for (const Anchor& anchor : model.data->anchors) temperatures_.push_back(anchor.temperature);
    for (const OutcomeTable* table : model.tables) {
      right_.emplace_back();
      for (std::size_t k = 0; k < table->anchors; ++k) {
        right_.back().emplace_back(table->size());
        for (std::size_t i = 0; i < table->size(); ++i) right_.back().back()[i] = table->correct(i, k);
      }
    }
  }

  json shared() const {
    json result = json::object();
    for (std::size_t k = 0; k < model_.data->anchors.size(); ++k) {
      const Anchor& anchor = model_.data->anchors[k];
      for (const Rival& rival : rivals_) {
        if (rival.config != anchor.config || rival.bops != bops_.cost(anchor.config)) continue;
        // Several rivals of one configuration differ in how they were trained: each has its own entry.
        std::string key = anchor.name;
        if (result.contains(key)) key += "_minus_" + rival.run;
        if (result.contains(key)) key += "_" + rival.anchor;
        json& entry = result[key];
        for (std::size_t s = 0; s < model_.sets.size(); ++s)
          entry[model_.sets[s]] = {{"shared", share_right(right_[s][k])}, {"alone", share_right(rival.correct[s])},
                                   {"difference", interval(s, right_[s][k], {rival.correct[s].begin(), rival.correct[s].end()})}};
        entry["alone"] = rival.name();
      }
    }
    return result;
  }

  json differences() const {
    json rows = json::array();
    if (PolicyHead::has_policy(*model_.data)) return rows;
    for (std::size_t k = 0; k < model_.data->anchors.size(); ++k) {
      const Anchor& anchor = model_.data->anchors[k];
      for (const Rival& rival : rivals_) {
        json row{{"anchor", anchor.name}, {"rival", rival.name()}, {"method", anchor.name + "_minus_" + method_of(rival)},
                 {"bops", anchor_bops(k)}, {"bops_ratio", anchor_bops(k) / rival.bops}};
        for (std::size_t s = 0; s < model_.sets.size(); ++s)
          row[model_.sets[s]] = {{"accuracy", share_right(right_[s][k])}, {"rival", share_right(rival.correct[s])},
                                 {"difference", interval(s, right_[s][k], {rival.correct[s].begin(), rival.correct[s].end()})}};
        rows.push_back(std::move(row));
      }
    }
    return rows;
  }

  json rivals() const {
    json rows = json::array();
    for (const Rival& rival : rivals_) {
      json row{{"name", rival.name()}, {"method", method_of(rival)}, {"bops", rival.bops}};
      for (std::size_t s = 0; s < model_.sets.size(); ++s) row[model_.sets[s]] = share_right(rival.correct[s]);
      rows.push_back(std::move(row));
    }
    return rows;
  }

  json policy() const {
    json rows = json::array();
    if (request_.bops.empty() || !PolicyHead::has_policy(*model_.data)) return rows;
    if (unpack_policy(*model_.data).cost_unit != "bops")
      throw Error(ExitCode::kUsage, "this policy is priced in time, bit operations cannot be asked of it", "compare, --bops", "leave --bops out");
    for (const bool guard : {true, false}) {
      if (guard || guard_relative_cost(*model_.data) > 0) add_policy(guard, rows);
    }
    return rows;
  }

  json cascades() const {
    json rows = json::array();
    for (const ComparisonRequest::Pair& pair : request_.pairs) {
      const int first = anchor_named(pair.first), second = anchor_named(pair.second);
      const CascadeCurve validation(*model_.validation, temperatures_, cascade_costs_, first, second);
      std::vector<CascadeCurve> curves;
      for (const OutcomeTable* table : model_.tables) curves.emplace_back(*table, temperatures_, cascade_costs_, first, second);
      std::vector<Rival> alike;
      for (const Rival& rival : rivals_)
        if (same_bits(rival.config, model_.data->anchors[static_cast<std::size_t>(second)].config)) alike.push_back(rival);
      for (const double wanted : pair.bops) {
        const double threshold = validation.at_cost(wanted / bops_.reference()).threshold;
        json row{{"first", pair.first}, {"second", pair.second}, {"wanted_bops", wanted}};
        for (std::size_t s = 0; s < model_.sets.size(); ++s) row[model_.sets[s]] = cascade(s, curves[s], threshold, alike);
        rows.push_back(std::move(row));
      }
    }
    return rows;
  }

 private:
  /// What a rival's record is called, no two alike.
  std::string method_of(const Rival& rival) const {
    const auto count = [&](const std::string Rival::*part) {
      return std::count_if(rivals_.begin(), rivals_.end(), [&](const Rival& other) { return other.*part == rival.*part; });
    };
    const auto taken = [&](const Rival& other) { return other.anchor != rival.anchor && "alone_" + other.anchor == rival.run; };
    if (count(&Rival::anchor) == 1) return "alone_" + rival.anchor;
    const bool by_run = count(&Rival::run) == 1 && std::none_of(rivals_.begin(), rivals_.end(), taken);
    return by_run ? rival.run : rival.run + "_" + rival.anchor;
  }

  PolicySweep sweep_of(const OutcomeTable& table, bool guard) const {
    const double saved = guard ? 0.0 : guard_relative_cost(*model_.data);
    PolicySweep sweep(*model_.data, table, policy_relative_cost(*model_.data) - saved);
    sweep.set_guard(guard);
    return sweep;
  }

  void add_policy(bool guard, json& rows) const {
    const std::vector<BudgetPoint> prices = budget_table(*model_.data, guard);
    const auto choices_of = [&](const PolicySweep& sweep, std::optional<double> wanted) {
      return wanted ? choose_at_cost(sweep, prices, *wanted / bops_.reference()) : sweep.choose(model_.data->default_lambda);
    };
    const PolicySweep validation = sweep_of(*model_.validation, guard);
    const std::vector<CascadeCurve> cascades = all_cascades(*model_.validation, temperatures_, cascade_costs_);
    std::vector<PolicySweep> sweeps;
    std::vector<std::vector<CascadeCurve>> curves;
    for (const OutcomeTable* table : model_.tables) {
      sweeps.push_back(sweep_of(*table, guard));
      curves.push_back(all_cascades(*table, temperatures_, cascade_costs_));
    }
    std::vector<std::optional<double>> budgets{std::nullopt};
    budgets.insert(budgets.end(), request_.bops.begin(), request_.bops.end());
    for (const std::optional<double> wanted : budgets) {
      const double on_validation = validation.judge(choices_of(validation, wanted)).relative;
      json row{{"wanted_bops", wanted ? json(*wanted) : json()}, {"guard", guard}, {"validation_bops", on_validation * bops_.reference()},
               {"lambda", wanted ? lambda_for(prices, *wanted / bops_.reference()) : model_.data->default_lambda}};
      const std::size_t best = best_cascade(cascades, on_validation);
      for (std::size_t s = 0; s < model_.sets.size(); ++s) {
        const PolicySweep& sweep = sweeps[s];
        const std::vector<PolicyChoice> choices = choices_of(sweep, wanted);
        Correct ours(choices.size());
        for (std::size_t i = 0; i < choices.size(); ++i) ours[i] = sweep.correct(i, choices[i].last());
        const double relative = sweep.judge(choices).relative, spent = relative * bops_.reference();
        row[model_.sets[s]] = {{"bops", spent}, {"accuracy", share_right(ours)}, {"own_hull", against(s, ours, spent, statics(s, true, nullptr))},
                               {"hull", rivals_.empty() ? json() : against(s, ours, spent, statics(s, true, &rivals_))},
                               {"rivals", against_rivals(s, ours, spent, rivals_)}, {"anchors", minus_anchors(s, ours, spent)},
                               {"cascade", against_cascade(ours, relative, curves[s][best], *model_.data,
                                                           {&model_.tables[s]->index, request_.seed, request_.resamples})}};
      }
      rows.push_back(std::move(row));
    }
  }

  json cascade(std::size_t s, const CascadeCurve& curve, double threshold, const std::vector<Rival>& alike) const {
    const Cascade at = curve.at_threshold(threshold);
    const Correct ours = curve.correct_at(at.relative);
    const double spent = at.relative * bops_.reference();
    const auto k1 = static_cast<std::size_t>(curve.first()), k2 = static_cast<std::size_t>(curve.second());
    Statics two;
    for (const std::size_t k : {k1, k2}) two.add(model_.data->anchors[k].name, anchor_bops(k), right_[s][k]);
    const Correct& last = right_[s][k2];
    json entry{{"bops", spent}, {"of_second", spent / two.bops[1]}, {"threshold", threshold}, {"second_looks", (at.relative - cascade_costs_.first[k1]) / costs_.second[k2]},
               {"accuracy", share_right(ours)}, {"minus_second", interval(s, ours, {last.begin(), last.end()})},
               {"own_mix", against(s, ours, spent, two)}};
    if (!alike.empty()) entry["rivals"] = against_rivals(s, ours, spent, alike);
    return entry;
  }

  Statics statics(std::size_t s, bool own, const std::vector<Rival>* rivals) const {
    Statics result;
    for (std::size_t k = 0; own && k < right_[s].size(); ++k)
      result.add(model_.data->anchors[k].name, anchor_bops(k), right_[s][k]);
    for (std::size_t r = 0; rivals && r < rivals->size(); ++r) result.add((*rivals)[r].name(), (*rivals)[r].bops, (*rivals)[r].correct[s]);
    return result;
  }

  double anchor_bops(std::size_t k) const { return costs_.first[k] * bops_.reference(); }

  json minus_anchors(std::size_t s, const Correct& ours, double spent) const {
    json entries = json::object();
    for (std::size_t k = 0; k < right_[s].size(); ++k)
      entries[model_.data->anchors[k].name] = {{"difference", interval(s, ours, {right_[s][k].begin(), right_[s][k].end()})},
                                               {"bops_ratio", spent / anchor_bops(k)}};
    return entries;
  }

  /// Null where no mix of them costs as much: a rival of another cost would stand for what it is not.
  json against_rivals(std::size_t s, const Correct& ours, double spent, const std::vector<Rival>& rivals) const {
    const auto cheaper = [](const Rival& a, const Rival& b) { return a.bops < b.bops; };
    const auto [least, most] = std::minmax_element(rivals.begin(), rivals.end(), cheaper);
    if (rivals.empty() || spent < least->bops || spent > most->bops) return nullptr;
    return against(s, ours, spent, statics(s, false, &rivals));
  }

  json against(std::size_t s, const Correct& ours, double spent, const Statics& statics) const {
    std::vector<HullPoint> points;
    for (std::size_t i = 0; i < statics.names.size(); ++i)
      points.push_back({statics.names[i], statics.bops[i], share_right(*statics.correct[i]), static_cast<int>(i)});
    const HullMix mix = StaticHull(std::move(points)).at(spent);
    return {{"accuracy", mix.accuracy}, {"low", mix.low.name}, {"high", mix.high.name}, {"share", mix.share},
            {"gain", interval(s, ours, mix.right(*statics.correct[static_cast<std::size_t>(mix.low.index)],
                                             *statics.correct[static_cast<std::size_t>(mix.high.index)]))}};
  }

  json interval(std::size_t s, const Correct& ours, const std::vector<double>& theirs) const {
    return interval_json(paired_gain(ours, theirs, model_.tables[s]->index, request_.seed, request_.resamples));
  }

  int anchor_named(const std::string& name) const {
    for (std::size_t k = 0; k < model_.data->anchors.size(); ++k)
      if (model_.data->anchors[k].name == name) return static_cast<int>(k);
    throw Error(ExitCode::kUsage, "the model has no anchor \"" + name + "\"", "compare", "see `bitpilot inspect`");
  }

  static bool same_bits(const BitConfig& left, const BitConfig& right) {
    return left.size() == right.size() && std::equal(left.begin(), left.end(), right.begin(), [](const LayerBits& a, const LayerBits& b) {
             return a.weight == b.weight && a.activation == b.activation;
           });
  }

  const ComparedModel& model_;
  const std::vector<Rival>& rivals_;
  const ComparisonRequest& request_;
  CostTable bops_;
  AnchorCosts costs_, cascade_costs_;
  std::vector<float> temperatures_;
  std::vector<std::vector<Correct>> right_;  // [set][anchor]
};

}  // namespace

std::vector<std::string> rival_run_names(const std::vector<std::string>& recipes, const std::vector<std::string>& folders) {
  std::vector<std::string> names;
  for (std::size_t r = 0; r < recipes.size(); ++r) {
    const std::filesystem::path folder = std::filesystem::path(folders[r]).lexically_normal();
    const std::string place = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
    names.push_back(std::count(recipes.begin(), recipes.end(), recipes[r]) == 1 ? recipes[r] : place);
  }
  for (std::size_t r = 0; r < names.size(); ++r) {
    if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(r), names[r]) != names.begin() + static_cast<std::ptrdiff_t>(r))
      throw Error(ExitCode::kUsage, "two rivals are called \"" + names[r] + "\"", folders[r],
                  "name each run once, and give folders of one recipe different names");
  }
  return names;
}

json compare(const ComparedModel& model, const std::vector<Rival>& rivals, const ComparisonRequest& request) {
  const Comparison comparison(model, rivals, request);
  return {{"schema", "bitpilot.comparison/1"}, {"shared", comparison.shared()}, {"differences", comparison.differences()},
          {"policy", comparison.policy()}, {"cascades", comparison.cascades()}, {"rivals", comparison.rivals()}};
}

}  // namespace bitpilot
