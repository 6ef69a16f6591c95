#include "runtime/adaptive.h"

#include <algorithm>
#include <chrono>

#include "runtime/core/error.h"
#include "runtime/fixed_math.h"

namespace bitpilot {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

std::vector<LayerDistribution> static_distributions(const BitConfig& config) {
  std::vector<LayerDistribution> result;
  for (const LayerBits& bits : config)
    result.push_back({static_cast<float>(bits.weight), 0, static_cast<float>(bits.activation), 0});
  return result;
}

}  // namespace

struct AdaptiveSession::Impl {
  explicit Impl(std::shared_ptr<const Model> loaded)
      : model(std::move(loaded)), session(model), cost(bops_table(model->data().network, model->data().space)) {
    if (PolicyHead::has_policy(model->data())) head.emplace(model->data());
  }

  /// Runs one look behind the stem and appends it to the decision.  `anchor`: -1 if the configuration may be none.
  void look(const BitConfig& config, int anchor, Decision& decision) {
    const auto start = Clock::now();
    const ModelData& data = model->data();
    const int exact = anchor >= 0 && data.anchors[static_cast<std::size_t>(anchor)].config == config
                          ? anchor
                          : find_anchor(data, config);
    const std::span<const float> scores = exact >= 0 ? session.look_anchor(exact) : session.look(config);
    decision.scores.assign(scores.begin(), scores.end());
    const int named = exact >= 0 ? exact : anchor;
    const float temperature = named >= 0 ? data.anchors[static_cast<std::size_t>(named)].temperature : 1.0F;
    fixed_math::softmax(decision.scores, temperature, probabilities);
    const auto top = std::max_element(probabilities.begin(), probabilities.end());
    Look taken;
    taken.config = exact >= 0 ? data.anchors[static_cast<std::size_t>(exact)].name : to_string(config, data.space);
    taken.bits = config;
    taken.anchor = named;
    const double bops = decision.looks.empty() ? cost.cost(config) : cost.cost_after_stem(config);
    taken.relative = bops / cost.reference();
    taken.confidence = *top;
    taken.index = static_cast<int>(top - probabilities.begin());
    decision.label = taken.index;
    decision.confidence = taken.confidence;
    decision.bops += bops;
    decision.calibrated = decision.calibrated && exact >= 0;
    decision.looks.push_back(std::move(taken));
    decision.backbone_ms += ms_since(start);
  }

  void look_static(const BitConfig& config, Decision& decision) {
    look(config, -1, decision);
    decision.distributions = static_distributions(config);
  }

  bool observes(const DecisionRule& rule) const { return rule.guard || head->reads_observation(); }

  void follow_policy(const Prepared& picture, const DecisionRule& rule, Decision& decision) {
    auto start = Clock::now();
    const double lambda = rule.lambda;
    const bool observed = observes(rule);
    const Observation observation = observed ? head->observe(picture.statistics, session.stem_sums()) : head->unobserved();
    decision.severity = observation.severity;
    decision.policy_bops = head->bops(observed);
    decision.bops += decision.policy_bops;
    if (rule.guard && observation.out_of_range) {
      decision.fallback = "out_of_range";
      decision.policy_ms += ms_since(start);
      look_static(model->data().anchors[static_cast<std::size_t>(model->data().safe_anchor)].config, decision);
      return;
    }
    FirstLook first = head->first(observation, lambda);
    decision.policy_ms += ms_since(start);
    look(first.config, first.anchor, decision);
    start = Clock::now();
    SecondLook second = head->second(observation, first, decision.scores, lambda);
    decision.policy_ms += ms_since(start);
    decision.distributions = std::move(first.distributions);
    if (second.anchor < 0) return;
    look(model->data().anchors[static_cast<std::size_t>(second.anchor)].config, second.anchor, decision);
    decision.distributions = std::move(second.distributions);
  }

  /// By the policy's own price list; a look that is none of its anchors costs what its BOPs do.
  double priced(const Decision& decision) const {
    if (!head || head->parameters().cost_unit == "bops") return decision.relative;
    const PolicyParameters& prices = head->parameters();
    double sum = decision.policy_bops > 0 ? prices.observing_cost : 0;
    for (std::size_t i = 0; i < decision.looks.size(); ++i) {
      const Look& look = decision.looks[i];
      const std::vector<float>& list = i == 0 ? prices.first_cost : prices.second_cost;
      sum += look.anchor >= 0 ? static_cast<double>(list[static_cast<std::size_t>(look.anchor)]) : look.relative;
    }
    return sum;
  }

  std::shared_ptr<const Model> model;
  Session session;
  CostTable cost;
  std::optional<PolicyHead> head;
  std::vector<float> probabilities;
};

AdaptiveSession::AdaptiveSession(std::shared_ptr<const Model> model)
    : impl_(std::make_unique<Impl>(std::move(model))) {}
AdaptiveSession::~AdaptiveSession() = default;
AdaptiveSession::AdaptiveSession(AdaptiveSession&&) noexcept = default;
const CostTable& AdaptiveSession::cost() const { return impl_->cost; }
bool AdaptiveSession::reads_statistics(const DecisionRule& rule) const {
  return !rule.fixed && impl_->head && impl_->observes(rule);
}

Decision AdaptiveSession::decide(const Prepared& picture, const DecisionRule& rule) {
  Decision decision;
  const auto start = Clock::now();
  impl_->session.start(picture.codes);
  decision.backbone_ms = ms_since(start);
  if (rule.fixed) {
    impl_->look_static(*rule.fixed, decision);
  } else if (impl_->head) {
    impl_->follow_policy(picture, rule, decision);
  } else {
    const ModelData& data = impl_->model->data();
    impl_->look_static(data.anchors[static_cast<std::size_t>(data.safe_anchor)].config, decision);
  }
  decision.relative = decision.bops / impl_->cost.reference();
  decision.priced = impl_->priced(decision);
  return decision;
}

}  // namespace bitpilot
