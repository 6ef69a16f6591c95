#include "runtime/adaptive.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "runtime/core/error.h"
#include "runtime/fixed_math.h"

namespace bitpilot {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

}  // namespace

std::string name_of(const Look& look, const ModelData& model) {
  if (look.anchor >= 0) {
    const Anchor& anchor = model.anchors[static_cast<std::size_t>(look.anchor)];
    if (anchor.config == look.bits) return anchor.name;
  }
  return to_string(look.bits, model.space);
}

struct AdaptiveSession::Impl {
  explicit Impl(std::shared_ptr<const Model> loaded)
      : model(std::move(loaded)), session(model), cost(bops_table(model->data().network, model->data().space)) {
    if (PolicyHead::has_policy(model->data())) head.emplace(model->data());
  }

  /// Empties the decision but keeps its memory, for the looks in their order.
  void clear() {
    for (std::size_t i = 0; i < decision.looks.size(); ++i) spare[i] = std::move(decision.looks[i]);
    Decision empty;
    empty.looks = std::move(decision.looks);
    empty.looks.clear();
    empty.distributions = std::move(decision.distributions);
    empty.distributions.clear();
    empty.scores = std::move(decision.scores);
    empty.scores.clear();
    decision = std::move(empty);
  }

  /// Runs one look behind the stem and appends it to the decision.  `anchor`: -1 if the configuration may be none.
  void look(const BitConfig& config, int anchor) {
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
    const double bops = decision.looks.empty() ? cost.cost(config) : cost.cost_after_stem(config);
    Look& taken = decision.looks.emplace_back(std::move(spare.at(decision.looks.size())));
    taken.bits = config;
    taken.anchor = named;
    taken.relative = bops / cost.reference();
    taken.confidence = *top;
    taken.index = static_cast<int>(top - probabilities.begin());
    decision.label = taken.index;
    decision.confidence = taken.confidence;
    decision.bops += bops;
    decision.calibrated = decision.calibrated && exact >= 0;
    decision.backbone_ms += ms_since(start);
  }

  void look_static(const BitConfig& config) {
    look(config, -1);
    for (const LayerBits& bits : config)
      decision.distributions.push_back({static_cast<float>(bits.weight), 0, static_cast<float>(bits.activation), 0});
  }

  void look_safe() {
    const ModelData& data = model->data();
    look_static(data.anchors[static_cast<std::size_t>(data.safe_anchor)].config);
  }

  bool observes(const DecisionRule& rule) const { return rule.guard || head->reads_observation(); }

  void follow_policy(const Prepared& picture, const DecisionRule& rule) {
    auto start = Clock::now();
    const double lambda = rule.lambda;
    observed = observes(rule);
    const Observation& observation =
        observed ? head->observe(picture.statistics, session.stem_sums(), scratch) : head->unobserved(scratch);
    decision.severity = observation.severity;
    decision.policy_bops = head->bops(observed);
    decision.bops += decision.policy_bops;
    if (rule.guard && observation.out_of_range) {
      decision.fallback = "out_of_range";
      decision.policy_ms += ms_since(start);
      look_safe();
      return;
    }
    const FirstLook& first = head->first(observation, lambda, scratch);
    decision.policy_ms += ms_since(start);
    look(first.config, first.anchor);
    start = Clock::now();
    const SecondLook& second = head->second(observation, first, decision.scores, lambda, scratch);
    decision.policy_ms += ms_since(start);
    if (second.anchor >= 0)
      look(model->data().anchors[static_cast<std::size_t>(second.anchor)].config, second.anchor);
    decision.distributions = second.anchor >= 0 ? second.distributions : first.distributions;
  }

  /// By the policy's own price list; a look that is none of its anchors costs what its BOPs do.
  double priced() const {
    if (!head || head->parameters().cost_unit == "bops") return decision.relative;
    const PolicyParameters& prices = head->parameters();
    double sum = decision.policy_bops > 0 ? head->relative_time(observed) : 0;
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
  PolicyScratch scratch;
  std::vector<float> probabilities;
  Decision decision;
  bool observed = false;        ///< the picture that was decided last
  std::array<Look, 2> spare;  ///< memory of looks that the decision now lacks
};

AdaptiveSession::AdaptiveSession(std::shared_ptr<const Model> model)
    : impl_(std::make_unique<Impl>(std::move(model))) {}
AdaptiveSession::~AdaptiveSession() = default;
AdaptiveSession::AdaptiveSession(AdaptiveSession&&) noexcept = default;
const CostTable& AdaptiveSession::cost() const { return impl_->cost; }
bool AdaptiveSession::reads_statistics(const DecisionRule& rule) const {
  return !rule.fixed && impl_->head && impl_->observes(rule);
}

const Decision& AdaptiveSession::decide(const Prepared& picture, const DecisionRule& rule) {
  impl_->clear();
  Decision& decision = impl_->decision;
  const auto start = Clock::now();
  impl_->session.start(picture.codes);
  decision.backbone_ms = ms_since(start);
  if (rule.fixed) {
    impl_->look_static(*rule.fixed);
  } else if (impl_->head) {
    impl_->follow_policy(picture, rule);
  } else {
    impl_->look_safe();
  }
  decision.relative = decision.bops / impl_->cost.reference();
  decision.priced = impl_->priced();
  return decision;
}

}  // namespace bitpilot
