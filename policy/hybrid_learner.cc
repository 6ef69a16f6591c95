#include "policy/hybrid_learner.h"

#include <algorithm>
#include <cmath>

#include "policy/dominated_anchors.h"
#include "policy/second_look.h"
#include "policy/static_hull.h"
#include "policy/temperature.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr int kSelectionLambdas = 24;
constexpr double kFlatAccuracy = 1e-4;  // accuracies on validation that count as equal when more cost is refused
constexpr double kQuantile = 0.001;     // ranges of the statistics run from this to 1 - this

const char* signal_name(StopSignal signal) {
  return signal == StopSignal::kEntropy       ? "entropy"
         : signal == StopSignal::kOneMinusTop ? "one_minus_top"
                                              : "one_minus_margin";
}

void fill_ranges(ModelData& model, const OutcomeTable& table) {
  model.statistics.assign(statistics_names().begin(), statistics_names().end());
  model.ranges.clear();
  for (std::size_t s = 0; s < kStatisticsCount; ++s) {
    std::vector<float> column;
    for (std::size_t i = 0; i < table.size(); ++i) column.push_back(table.statistics[i * kStatisticsCount + s]);
    std::sort(column.begin(), column.end());
    const double last = static_cast<double>(column.size() - 1);
    model.ranges.emplace_back(column[static_cast<std::size_t>(kQuantile * last)],
                              column[static_cast<std::size_t>((1 - kQuantile) * last)]);
  }
}

/// What the choices alone cost.
double choosing_relative_cost(const ModelData& model) { return policy_relative_cost(model) - guard_relative_cost(model); }

/// The work of one fit_policy call: parameters as they grow, and the tables they are fitted to and judged on.
class Learner {
 public:
  Learner(ModelData& model, const PolicyOptions& options, const OutcomeTable& train, const OutcomeTable& validation)
      : model_(model), options_(options), train_(train), validation_(validation) {}

  PolicyResult run() {
    prepare();
    drop_dominated();
    one_look() ? set_losses(0) : choose_signal();
    choose_networks();
    drop_useless();
    use_both_splits();
    find_floor();
    store();
    result_.policy_cost = policy_relative_cost(model_);
    result_.log["error_weight"] = error_weight_;
    return std::move(result_);
  }

 private:
  bool one_look() const { return options_.looks == 1; }
  void say(const std::string& line) const {
    if (options_.log) options_.log(line);
  }
  std::vector<float> temperatures() const {
    std::vector<float> values;
    for (const Anchor& anchor : model_.anchors) values.push_back(anchor.temperature);
    return values;
  }
  void store() { model_.policy = pack_policy(p_); }

  void prepare() {
    const std::size_t k = model_.anchors.size();
    for (std::size_t i = 0; i < k; ++i) model_.anchors[i].temperature = fit_temperature(validation_, i);
    fill_ranges(model_, train_);
    const AnchorCosts costs = anchor_costs(model_, options_.cost ? *options_.cost : bops_table(model_.network, model_.space));
    p_.first_cost.assign(costs.first.begin(), costs.first.end());
    p_.second_cost.assign(costs.second.begin(), costs.second.end());
    if (options_.cost && options_.cost->unit() == "ms") {
      p_.cost_unit = "ms";
      p_.reference_ms = options_.cost->reference();
      p_.choosing_cost = options_.deciding.choosing_ms / p_.reference_ms;
      p_.guard_cost = options_.deciding.guard_ms / p_.reference_ms;
      p_.networks_cost = options_.deciding.networks_ms / p_.reference_ms;
    }
    p_.lambda_low = options_.lambda_low;
    p_.lambda_high = options_.lambda_high;
    const auto knots = static_cast<std::size_t>(options_.knots);
    p_.first_value.assign(knots, std::vector<float>(k, 0));
    p_.first_allowed.assign(knots, std::vector<std::uint8_t>(k, 1));
    if (one_look()) never_look_again(p_);
    else p_.pair_allowed.assign(knots, second_looks(model_, p_.first_cost, p_.cost_unit));
    p_.spread.assign(k * static_cast<std::size_t>(model_.network.layer_count()) * 2, 0.0F);
    fit_estimator(false);
    const double cheapest = *std::min_element(costs.first.begin(), costs.first.end());
    double best = -1;
    for (std::size_t a = 0; a < k; ++a) {
      double accuracy = 0;
      for (std::size_t i = 0; i < validation_.size(); ++i) accuracy += validation_.correct(i, a) ? 1 : 0;
      accuracy /= static_cast<double>(std::max<std::size_t>(1, validation_.size()));
      const float temperature = model_.anchors[a].temperature;
      result_.log["anchors"][model_.anchors[a].name] = {
          {"relative", costs.first[a]}, {"accuracy", accuracy}, {"temperature", temperature}, {"ece", calibration_error(validation_, a, temperature)}};
      const bool named = model_.anchors[a].name == options_.reference_anchor;
      if (options_.reference_anchor.empty() ? accuracy > best : named) {
        best = accuracy;
        reference_ = a;
      }
    }
    if (best < 0)
      throw Error(ExitCode::kUsage, "no anchor is called '" + options_.reference_anchor + "'", "policy.reference_anchor", "name one of the model's anchors");
    low_ = (cheapest + (one_look() ? reading_cost() : 0.0)) * 1.05;
    high_ = std::max(costs.first[reference_], low_ * 1.5);
  }

  void fit_estimator(bool stem) {
    say(stem ? "policy: quality estimator on statistics and stem" : "policy: quality estimator on statistics");
    EstimatorOptions estimator = options_.estimator;
    estimator.seed += options_.seed;
    estimator.stem = stem;
    fit_quality_estimator(train_, temperatures(), stem_pixels(model_), estimator, p_);
  }

  /// What choosing by all that can be read of a picture costs.  One look has nothing to choose between below that and the cheapest anchor:
  /// scored there, reading would be refused for costs at which no policy is.
  double reading_cost() {
    const PolicyParameters kept = p_;
    EstimatorOptions estimator = options_.estimator;
    estimator.stem = true;
    estimator.epochs = 0;  // its size is what counts
    fit_quality_estimator(train_, temperatures(), stem_pixels(model_), estimator, p_);
    p_.first_weight = 1;
    store();
    p_ = kept;
    return policy_relative_cost(model_);
  }

  /// Fits the mean values of first looks to a sweep over the policy split.
  void refit_values() {
    store();
    PolicySweep sweep(model_, train_, 0);
    fit_first_values(sweep, losses_, p_);
  }

  double score(PolicySweep& sweep) const {
    std::vector<SweepPoint> points;
    for (const double lambda : log_spaced(0.004, 8, kSelectionLambdas)) points.push_back(sweep.at(lambda));
    return curve_score(points, low_, high_);
  }
  double score_on_validation() {
    store();
    PolicySweep sweep(model_, validation_, choosing_relative_cost(model_));
    return score(sweep);
  }

  StopRuleOptions stop_options(double error_weight, bool networks) const {
    StopRuleOptions stop = options_.stop;
    stop.error_weight = error_weight;
    stop.seed += options_.seed;
    if (!networks) stop.epochs = 0;
    return stop;
  }

  void choose_signal() {
    say("policy: stop signal");
    double best = -1;
    StopSignal signal = StopSignal::kEntropy;
    for (const double weight : options_.error_weights) {
      losses_ = mixed_losses(train_, temperatures(), weight);
      for (const StopSignal candidate : options_.signals) {
        p_.signal = candidate;
        fit_stop_rule(model_, train_, stop_options(weight, false), p_);
        refit_values();
        const double value = score_on_validation();
        result_.log["signal"].push_back({{"signal", signal_name(candidate)}, {"error_weight", weight}, {"score", value}});
        if (value <= best + (best < 0 ? 0 : options_.least_gain)) continue;
        best = value;
        signal = candidate;
        error_weight_ = weight;
      }
    }
    p_.signal = signal;
    set_losses(error_weight_);
  }

  void set_losses(double error_weight) { losses_ = mixed_losses(train_, temperatures(), error_weight); }

  /// Networks with and without the stem's means as inputs.  They have to earn the statistics that they read, and the stem what its sums
  /// cost: without networks a choice needs neither.
  void choose_networks() {
    double best = -1;
    PolicyParameters chosen;
    for (const bool stem : options_.stem) {
      if (best >= 0 || stem) fit_estimator(stem);
      p_.first_weight = p_.stop_weight = 0;
      p_.first_residual = {};
      if (one_look()) {
        refit_values();
      } else {
        fit_stop_rule(model_, train_, stop_options(error_weight_, true), p_);
        choose_stop_weight(stem);
      }
      choose_first_weight(stem);
      const double value = score_on_validation();
      result_.log["networks"].push_back({{"stem", stem}, {"score", value}, {"stop_weight", p_.stop_weight}, {"first_weight", p_.first_weight}});
      if (best >= 0 && value <= best + options_.least_gain) continue;
      best = value;
      chosen = p_;
    }
    p_ = std::move(chosen);
  }

  /// The weight with the best score; a larger weight must beat a smaller one by least_gain.
  float choose_weight(const std::string& what, const std::function<double(float)>& score_of) {
    double best = -1;
    float chosen = 0;
    for (const double weight : options_.residual_weights) {
      const double value = score_of(static_cast<float>(weight));
      result_.log[what].push_back({{"weight", weight}, {"score", value}});
      if (best >= 0 && value <= best + options_.least_gain) continue;
      best = value;
      chosen = static_cast<float>(weight);
    }
    return chosen;
  }

  void choose_stop_weight(bool stem) {
    say("policy: stop rule");
    p_.stop_weight = choose_weight(stem ? "stop_weight_with_stem" : "stop_weight", [&](float weight) {
      p_.stop_weight = weight;
      refit_values();
      return score_on_validation();
    });
    if (p_.stop_weight == 0) p_.stop_residual.assign(p_.anchors(), {});
    refit_values();
  }

  void choose_first_weight(bool stem) {
    say("policy: first look");
    store();
    {
      PolicySweep sweep(model_, train_, 0);
      FirstLookOptions first = options_.first;
      first.seed += options_.seed;
      if (one_look()) first.hidden = 0;  // its value is its loss at every lambda, and the embedding was trained to tell that
      p_.first_residual = fit_first_residual(sweep, losses_, p_, first);
    }
    p_.first_weight = choose_weight(stem ? "first_weight_with_stem" : "first_weight", [&](float weight) {
      p_.first_weight = weight;
      return score_on_validation();
    });
    if (p_.first_weight == 0) p_.first_residual = {};
  }

  void forbid(PolicyParameters& p, std::size_t anchor) const {
    for (std::size_t knot = 0; knot < p.knots(); ++knot) {
      p.first_allowed[knot][anchor] = 0;
      for (std::size_t other = 0; other < p.anchors(); ++other)
        p.pair_allowed[knot][anchor * p.anchors() + other] = p.pair_allowed[knot][other * p.anchors() + anchor] = 0;
    }
  }

  /// Actions that cost what a better one costs would only be played by mistake.
  void drop_dominated() {
    const Rows losses = mixed_losses(train_, temperatures(), 0);
    AnchorAccount account{p_.first_cost, p_.second_cost, p_.pair_allowed.front(), std::vector<double>(p_.anchors(), 0)};
    for (std::size_t i = 0; i < losses.values.size(); ++i)
      account.loss[i % p_.anchors()] += losses.values[i] / static_cast<double>(train_.size());
    const std::vector<int> by = dominating_anchors(account, p_.cost_unit, static_cast<std::size_t>(model_.safe_anchor));
    used_.assign(p_.anchors(), 1);
    for (std::size_t k = 0; k < p_.anchors(); ++k) {
      if (by[k] < 0) continue;
      const std::string& better = model_.anchors[static_cast<std::size_t>(by[k])].name;
      say("policy: " + model_.anchors[k].name + " costs no less than " + better + " and loses more: dropped");
      drop(k, {{"dominated_by", better}});
    }
  }

  void drop(std::size_t anchor, nlohmann::json reason) {
    used_[anchor] = 0;
    forbid(p_, anchor);
    const std::string& name = model_.anchors[anchor].name;
    result_.dropped.push_back(name);
    reason["anchor"] = name;
    result_.log["dropped"].push_back(std::move(reason));
  }

  /// Anchors that do not help on validation leave, worst first: few well-known configurations beat many half-known ones.
  void drop_useless() {
    say("policy: anchors");
    store();
    const OutcomeTable part = train_.rows(0, std::min<std::size_t>(train_.size(), 6000));
    const Rows part_losses{losses_.columns, {losses_.values.begin(), losses_.values.begin() + static_cast<std::ptrdiff_t>(part.size()) * losses_.columns}};
    PolicySweep values(model_, part, 0), judge(model_, validation_, choosing_relative_cost(model_));
    const auto score_without = [&](PolicyParameters p) {
      values.parameters() = p;
      fit_first_values(values, part_losses, p);
      judge.parameters() = p;
      return score(judge);
    };
    double best = score_without(p_);
    bool dropped = false;
    for (bool found = true; found;) {
      found = false;
      std::size_t worst = 0;
      double best_without = best - 1;
      for (std::size_t k = 0; k < p_.anchors(); ++k) {
        if (!used_[k] || std::count(used_.begin(), used_.end(), 1) <= 2) continue;
        PolicyParameters candidate = p_;
        forbid(candidate, k);
        const double value = score_without(candidate);
        if (value > best_without) {
          best_without = value;
          worst = k;
        }
      }
      if (best_without <= best + options_.least_gain) break;
      found = true;
      best = best_without;
      drop(worst, {{"score", best}});
      dropped = true;
    }
    if (dropped) refit_values();
    result_.log["score"] = score_on_validation();
  }

  /// The shape of the policy is settled: its few-parameter tables (curves, mean values) are fitted once more, to all pictures.
  void use_both_splits() {
    const OutcomeTable both = joined(train_, validation_);
    losses_ = mixed_losses(both, temperatures(), error_weight_);
    if (!one_look()) {
      const std::vector<IntegerMlp> networks = p_.stop_residual;
      const std::vector<float> mean = p_.confidence_mean, scale = p_.confidence_scale;
      fit_stop_rule(model_, both, stop_options(error_weight_, false), p_);
      p_.stop_residual = networks;
      p_.confidence_mean = mean;
      p_.confidence_scale = scale;
    }
    store();
    const PolicySweep sweep(model_, both, 0);
    fit_first_values(sweep, losses_, p_);
    result_.log["score_of_final_tables"] = score_on_validation();
  }

  /// The largest lambda (least cost) that is as accurate on validation as any; smaller ones only cost more.
  void find_floor() {
    store();
    const PolicySweep sweep(model_, validation_, policy_relative_cost(model_));
    std::vector<SweepPoint> points;
    for (const double lambda : log_spaced(options_.lambda_low, options_.lambda_high, 2 * options_.knots - 1))
      points.push_back(sweep.at(lambda));
    double best = 0;
    for (const SweepPoint& point : points) best = std::max(best, point.accuracy);
    for (const SweepPoint& point : points) {
      if (point.accuracy >= best - kFlatAccuracy) p_.lambda_floor = point.lambda;
    }
    result_.log["lambda_floor"] = p_.lambda_floor;
  }

  ModelData& model_;
  const PolicyOptions& options_;
  const OutcomeTable &train_, &validation_;
  PolicyParameters p_;
  PolicyResult result_;
  Rows losses_;
  std::vector<std::uint8_t> used_;  ///< [anchors]: not dropped
  double error_weight_ = 0, low_ = 0, high_ = 1;
  std::size_t reference_ = 0;
};

}  // namespace

double policy_relative_cost(const ModelData& model) {
  const PolicyHead head(model);
  if (head.parameters().cost_unit != "bops") return head.relative_time();
  return head.bops() / bops_table(model.network, model.space).reference();
}

double curve_score(const std::vector<SweepPoint>& points, double low, double high) {
  // Below the cheapest point only nothing at all is left to mix with: a policy that cannot be cheap pays for it.
  std::vector<HullPoint> hull_points{{"", 0, 0, -1}};
  for (const SweepPoint& point : points) hull_points.push_back({"", point.relative, point.accuracy, -1});
  const StaticHull hull(std::move(hull_points));
  double sum = 0;
  constexpr int kCosts = 24;
  for (const double cost : log_spaced(low, high, kCosts)) sum += hull.accuracy(cost);
  return sum / kCosts;
}

PolicyResult fit_policy(ModelData& model, const PolicyOptions& options, const OutcomeTable& policy_split,
                        const OutcomeTable& validation) {
  if (policy_split.size() < 100 || validation.size() < 100 || policy_split.anchors != model.anchors.size() ||
      validation.anchors != model.anchors.size())
    throw Error(ExitCode::kData, "a policy needs outcomes of every anchor on at least 100 pictures of each split",
                "fit_policy", "give more pictures");
  return Learner(model, options, policy_split, validation).run();
}

}  // namespace bitpilot
