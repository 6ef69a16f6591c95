#include "runtime/policy_head.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/core/cost.h"
#include "runtime/core/error.h"
#include "runtime/look_confidence.h"
#include "runtime/policy_rules.h"

namespace bitpilot {
namespace {

constexpr double kFloatBops = 32.0 * 32.0;  // one float32 operation
constexpr double kIntegerBops = 8.0 * 8.0;  // one multiply-accumulate of the integer networks
constexpr double kAddBops = 32.0;  // adding one stem code to a running int32 sum, counted as in statistics_bops

/// Nearest rung of an ascending ladder to a position in ladder steps; ties to the lower rung.
int rung_at(float position, std::size_t rungs) {
  const float clamped = std::clamp(position, 0.0F, static_cast<float>(rungs - 1));
  return static_cast<int>(std::ceil(clamped - 0.5F));
}

/// Bits at a position between rungs.
float bits_at(const std::vector<int>& ladder, float position) {
  const float clamped = std::clamp(position, 0.0F, static_cast<float>(ladder.size() - 1));
  const auto low = std::min(static_cast<std::size_t>(clamped), ladder.size() - 1),
             high = std::min(low + 1, ladder.size() - 1);
  return static_cast<float>(ladder[low]) +
         (clamped - static_cast<float>(low)) * static_cast<float>(ladder[high] - ladder[low]);
}

float position_of(const std::vector<int>& ladder, int bits) {
  return static_cast<float>(std::lower_bound(ladder.begin(), ladder.end(), bits) - ladder.begin());
}

}  // namespace

double confidence_bops(std::size_t classes) {
  constexpr double kSoftmaxOperations = 24.0;  // per class: exponential, sums, normalisation
  return kFloatBops * kSoftmaxOperations * static_cast<double>(classes);
}

struct PolicyHead::Impl {
  PolicyParameters parameters;
  BitSpace space;
  std::vector<BitConfig> anchors;
  std::vector<float> temperatures;
  std::vector<double> positions;  ///< of each anchor on the path from the cheapest (0) to the dearest (1)
  std::vector<std::pair<float, float>> ranges;
  float pixels_inverse = 1;
  double bops = 0, choosing_bops = 0;

  bool reads_observation() const {
    return parameters.first_weight != 0 || parameters.stop_weight != 0 || !parameters.offset.empty();
  }

  std::vector<std::int32_t> codes(const Observation& observation, std::size_t extra) const {
    std::vector<std::int32_t> result;
    result.reserve(observation.embedding.size() + extra);
    for (const float e : observation.embedding) result.push_back(policy_code(e));
    return result;
  }

  float signal(const LookConfidence& c) const {
    switch (parameters.signal) {
      case StopSignal::kOneMinusTop:
        return 1.0F - c.top;
      case StopSignal::kEntropy:
        return c.entropy;
      case StopSignal::kOneMinusMargin:
        return 1.0F - (c.top - c.second);
    }
    return 0;
  }

  std::vector<LayerDistribution> distributions(int anchor, const std::vector<float>& offsets) const {
    const BitConfig& config = anchors[static_cast<std::size_t>(anchor)];
    std::vector<LayerDistribution> result(config.size());
    const float* spread = parameters.spread.data() + static_cast<std::size_t>(anchor) * config.size() * 2;
    for (std::size_t l = 0; l < config.size(); ++l) {
      const std::vector<int>& ladder = space.layers[l].bits;
      const float weight = offsets.empty() ? 0.0F : offsets[2 * l],
                  activation = offsets.empty() ? 0.0F : offsets[2 * l + 1];
      if (space.layers[l].fixed) continue;
      result[l] = {bits_at(ladder, position_of(ladder, config[l].weight) + weight), spread[2 * l],
                   bits_at(ladder, position_of(ladder, config[l].activation) + activation), spread[2 * l + 1]};
    }
    return result;
  }

  std::vector<float> offsets(const Observation& observation, double lambda) const {
    std::vector<float> result;
    if (parameters.offset.empty()) return result;
    std::vector<std::int32_t> input = codes(observation, 1);
    input.push_back(lambda_code(lambda, parameters.lambda_low, parameters.lambda_high));
    parameters.offset.run(input, result);
    return result;
  }

  BitConfig moved(int anchor, const std::vector<float>& offsets) const {
    BitConfig config = anchors[static_cast<std::size_t>(anchor)];
    if (offsets.empty()) return config;
    for (std::size_t l = 0; l < config.size(); ++l) {
      const LayerSpace& layer = space.layers[l];
      if (layer.fixed) continue;
      const int weight = rung_at(position_of(layer.bits, config[l].weight) + offsets[2 * l], layer.bits.size());
      const int activation =
          rung_at(position_of(layer.bits, config[l].activation) + offsets[2 * l + 1], layer.bits.size());
      config[l].weight = layer.bits[static_cast<std::size_t>(weight)];
      config[l].activation = layer.bits[static_cast<std::size_t>(activation)];
    }
    return config;
  }

  void place_on_path() {
    const std::vector<float>& cost = parameters.first_cost;
    for (std::size_t k = 0; k < cost.size(); ++k) {
      double cheaper = 0;
      for (std::size_t other = 0; other < cost.size(); ++other)
        cheaper += cost[other] < cost[k] || (cost[other] == cost[k] && other < k) ? 1 : 0;
      positions.push_back(cost.size() > 1 ? cheaper / static_cast<double>(cost.size() - 1) : 0.0);
    }
  }

  void count_operations(const Network& network, std::size_t classes) {
    const Shape input = network.input_shape(), stem = network.layer(0).shape;
    std::int64_t macs = parameters.embedding.macs() + parameters.severity.macs() + parameters.offset.macs(), stop = 0;
    if (parameters.first_weight != 0) macs += parameters.first_residual.macs();
    for (const IntegerMlp& mlp : parameters.stop_residual)
      stop = std::max(stop, parameters.stop_weight != 0 ? mlp.macs() : 0);
    const std::size_t look = stop > 0 ? parameters.confidence_mean.size() : 0;
    const double floats = 4.0 * static_cast<double>(parameters.feature_mean.size() + look);
    const bool sums = parameters.feature_mean.size() > kStatisticsCount;
    choosing_bops = confidence_bops(classes) + kFloatBops * 12.0 * static_cast<double>(anchors.size());
    bops = choosing_bops + statistics_bops(input.height, input.width) + kIntegerBops * static_cast<double>(macs + stop) +
           kFloatBops * floats + (sums ? kAddBops * stem.channels * stem.height * stem.width : 0.0);
  }
};

PolicyHead::PolicyHead(const ModelData& model) {
  auto impl = std::make_shared<Impl>();
  impl->parameters = unpack_policy(model);
  impl->space = model.space;
  impl->ranges = model.ranges;
  if (!model.ranges.empty() && model.ranges.size() != kStatisticsCount)
    throw Error(ExitCode::kData,
                "the model has ranges for " + std::to_string(model.ranges.size()) +
                    " image statistics, this program computes " + std::to_string(kStatisticsCount),
                "model file, ranges", "export the model again");
  for (const Anchor& anchor : model.anchors) {
    impl->anchors.push_back(anchor.config);
    impl->temperatures.push_back(anchor.temperature);
  }
  const Shape stem = model.network.layer(0).shape;
  impl->pixels_inverse = 1.0F / static_cast<float>(stem.height * stem.width);
  impl->place_on_path();
  impl->count_operations(model.network, static_cast<std::size_t>(model.network.classes()));
  impl_ = impl;
}

Observation PolicyHead::observe(const ImageStatistics& statistics, std::span<const std::int32_t> stem_sums) const {
  const PolicyParameters& p = impl_->parameters;
  const std::size_t stem = p.feature_mean.size() - kStatisticsCount;
  if (stem > 0 && stem != stem_sums.size())
    throw Error(ExitCode::kBug, "stem sums of another network", "PolicyHead::observe", "report this");
  Observation result;
  std::vector<std::int32_t> features(p.feature_mean.size());
  for (std::size_t i = 0; i < features.size(); ++i) {
    const float x = i < kStatisticsCount ? statistics.values[i]
                                         : static_cast<float>(stem_sums[i - kStatisticsCount]) * impl_->pixels_inverse;
    features[i] = policy_code((x - p.feature_mean[i]) * p.feature_scale[i]);
  }
  p.embedding.run(features, result.embedding);
  for (float& e : result.embedding) e = static_cast<float>(policy_code(e)) * kPolicyInputStep;
  std::vector<float> severity;
  p.severity.run(impl_->codes(result, 0), severity);
  result.severity = std::clamp(severity.front(), 0.0F, 5.0F);
  for (std::size_t i = 0; i < impl_->ranges.size(); ++i) {
    const float low = impl_->ranges[i].first, high = impl_->ranges[i].second, x = statistics.values[i];
    const float half = (high - low) * 0.5F;
    if (!(x >= low - half && x <= high + half)) result.out_of_range = true;  // twice the range; NaN is outside too
  }
  return result;
}

void PolicyHead::first_residual(const Observation& observation, double wanted_lambda, std::span<float> residual) const {
  const PolicyParameters& p = impl_->parameters;
  const double lambda = std::max(wanted_lambda, p.lambda_floor);
  std::fill(residual.begin(), residual.end(), 0.0F);
  if (p.first_residual.empty()) return;
  std::vector<std::int32_t> input = impl_->codes(observation, 1);
  input.push_back(lambda_code(lambda, p.lambda_low, p.lambda_high));
  thread_local std::vector<float> result;
  p.first_residual.run(input, result);
  std::copy(result.begin(), result.end(), residual.begin());
}

int PolicyHead::first_anchor(const Observation& observation, double lambda) const {
  thread_local std::vector<float> residual;
  residual.assign(impl_->anchors.size(), 0.0F);
  if (impl_->parameters.first_weight != 0) first_residual(observation, lambda, residual);
  return choose_first(impl_->parameters, residual, lambda);
}

LookSummary PolicyHead::summarise(const Observation& observation, int taken, std::span<const float> scores,
                                  std::span<float> residual) const {
  const PolicyParameters& p = impl_->parameters;
  const LookConfidence sure = look_confidence(scores, impl_->temperatures[static_cast<std::size_t>(taken)]);
  std::fill(residual.begin(), residual.end(), 0.0F);
  const IntegerMlp& mlp = p.stop_residual[static_cast<std::size_t>(taken)];
  if (!residual.empty() && !mlp.empty()) {
    const std::vector<float> features = look_features(sure, static_cast<int>(p.confidence_mean.size()));
    std::vector<std::int32_t> input = impl_->codes(observation, features.size());
    for (std::size_t i = 0; i < features.size(); ++i)
      input.push_back(policy_code((features[i] - p.confidence_mean[i]) * p.confidence_scale[i]));
    thread_local std::vector<float> result;
    mlp.run(input, result);
    std::copy(result.begin(), result.end(), residual.begin());
  }
  return {sure.top, sure.label, impl_->signal(sure)};
}

int PolicyHead::second_anchor(const Observation& observation, int taken, std::span<const float> scores, double lambda,
                              float* confidence, int* label) const {
  const PolicyParameters& p = impl_->parameters;
  thread_local std::vector<float> residual;
  residual.assign(p.stop_weight != 0 ? p.anchors() : 0, 0.0F);
  const LookSummary summary = summarise(observation, taken, scores, residual);
  residual.resize(p.anchors(), 0.0F);
  if (confidence) *confidence = summary.confidence;
  if (label) *label = summary.label;
  return choose_second(p, taken, summary.signal, residual, lambda);
}

FirstLook PolicyHead::first(const Observation& observation, double lambda) const {
  FirstLook result;
  result.anchor = first_anchor(observation, lambda);
  result.position = impl_->positions[static_cast<std::size_t>(result.anchor)];
  const std::vector<float> offsets = impl_->offsets(observation, lambda);
  result.config = impl_->moved(result.anchor, offsets);
  result.distributions = impl_->distributions(result.anchor, offsets);
  return result;
}

SecondLook PolicyHead::second(const Observation& observation, const FirstLook& taken, std::span<const float> scores,
                              double lambda) const {
  SecondLook result;
  result.anchor = second_anchor(observation, taken.anchor, scores, lambda, &result.confidence, &result.label);
  if (result.anchor >= 0) result.distributions = impl_->distributions(result.anchor, {});
  return result;
}

bool PolicyHead::reads_observation() const { return impl_->reads_observation(); }

Observation PolicyHead::unobserved() const {
  if (reads_observation()) throw Error(ExitCode::kBug, "this policy reads the picture", "PolicyHead::unobserved", "report this");
  Observation result;
  result.embedding.assign(static_cast<std::size_t>(impl_->parameters.embedding.outputs()), 0.0F);
  result.severity = std::numeric_limits<float>::quiet_NaN();
  return result;
}

double PolicyHead::bops(bool observed) const { return observed ? impl_->bops : impl_->choosing_bops; }
const PolicyParameters& PolicyHead::parameters() const { return impl_->parameters; }

double guard_relative_cost(const ModelData& model) {
  const PolicyHead head(model);
  if (head.reads_observation() || head.parameters().cost_unit != "bops") return 0;
  return (head.bops() - head.bops(/*observed=*/false)) / bops_table(model.network, model.space).reference();
}

}  // namespace bitpilot
