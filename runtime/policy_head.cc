#include "runtime/policy_head.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/error.h"
#include "runtime/fixed_math.h"
#include "runtime/policy_parameters.h"

namespace bitpilot {
namespace {

constexpr double kFloatBops = 32.0 * 32.0;  // one float32 operation
constexpr double kIntegerBops = 8.0 * 8.0;  // one multiply-accumulate of the integer networks
constexpr double kAddBops = 8.0;            // adding up one 8-bit stem code: a multiply-accumulate with a 1-bit weight
constexpr double kSoftmaxOperations = 24.0; // per class: exponential, sums, normalisation

/// Nearest rung of an ascending ladder to a position in ladder steps; ties to the lower rung.
int rung_at(float position, std::size_t rungs) {
  const float clamped = std::clamp(position, 0.0F, static_cast<float>(rungs - 1));
  return static_cast<int>(std::ceil(clamped - 0.5F));
}

/// Bits at a position between rungs.
float bits_at(const std::vector<int>& ladder, float position) {
  const float clamped = std::clamp(position, 0.0F, static_cast<float>(ladder.size() - 1));
  const auto low = std::min(static_cast<std::size_t>(clamped), ladder.size() - 1), high = std::min(low + 1, ladder.size() - 1);
  return static_cast<float>(ladder[low]) + (clamped - static_cast<float>(low)) * static_cast<float>(ladder[high] - ladder[low]);
}

float position_of(const std::vector<int>& ladder, int bits) {
  return static_cast<float>(std::lower_bound(ladder.begin(), ladder.end(), bits) - ladder.begin());
}

struct Confidence {
  float top = 0, second = 0, entropy = 0;
  int label = 0;
};

}  // namespace

struct PolicyHead::Impl {
  PolicyParameters parameters;
  BitSpace space;
  std::vector<BitConfig> anchors;
  std::vector<float> temperatures;
  std::vector<std::pair<float, float>> ranges;
  float pixels_inverse = 1;
  double bops = 0;

  std::vector<std::int32_t> codes(const Observation& observation, std::size_t extra) const {
    std::vector<std::int32_t> result;
    result.reserve(observation.embedding.size() + extra);
    for (const float e : observation.embedding) result.push_back(policy_code(e));
    return result;
  }

  std::size_t nearest_knot(double lambda) const {
    return static_cast<std::size_t>(std::nearbyint(lambda_position(lambda, parameters.lambda_low, parameters.lambda_high, parameters.knots())));
  }

  Confidence confidence(std::span<const float> scores, int anchor) const {
    thread_local std::vector<float> probabilities;
    Confidence result;
    result.entropy = fixed_math::softmax(scores, temperatures[static_cast<std::size_t>(anchor)], probabilities);
    result.top = -1;
    for (std::size_t i = 0; i < probabilities.size(); ++i) {
      if (probabilities[i] > result.top) {
        result.second = std::max(result.top, 0.0F);
        result.top = probabilities[i];
        result.label = static_cast<int>(i);
      } else {
        result.second = std::max(result.second, probabilities[i]);
      }
    }
    return result;
  }

  float signal(const Confidence& c) const {
    switch (parameters.signal) {
      case StopSignal::kOneMinusTop: return 1.0F - c.top;
      case StopSignal::kEntropy: return c.entropy;
      case StopSignal::kOneMinusMargin: return 1.0F - (c.top - c.second);
    }
    return 0;
  }

  /// Expected drop of task loss when `second` follows `anchor`, from the monotone curve.  Linear between points; past the last point the
  /// drop keeps growing by a hair, so that a less sure picture always comes first.
  float curve(std::size_t anchor, std::size_t second, float at) const {
    const std::vector<float>& points = parameters.curve_at[anchor];
    const float* drop = parameters.curve_drop[anchor].data() + second * points.size();
    constexpr float kTieSlope = 1e-4F;
    const float tie = kTieSlope * at;
    if (at <= points.front()) return drop[0] + tie;
    if (at >= points.back()) return drop[points.size() - 1] + tie;
    const auto upper = static_cast<std::size_t>(std::upper_bound(points.begin(), points.end(), at) - points.begin());
    const float width = points[upper] - points[upper - 1];
    const float share = width > 0 ? (at - points[upper - 1]) / width : 0.0F;
    return drop[upper - 1] + share * (drop[upper] - drop[upper - 1]) + tie;
  }

  std::vector<LayerDistribution> distributions(int anchor, const std::vector<float>& offsets) const {
    const BitConfig& config = anchors[static_cast<std::size_t>(anchor)];
    std::vector<LayerDistribution> result(config.size());
    const float* spread = parameters.spread.data() + static_cast<std::size_t>(anchor) * config.size() * 2;
    for (std::size_t l = 0; l < config.size(); ++l) {
      const std::vector<int>& ladder = space.layers[l].bits;
      const float weight = offsets.empty() ? 0.0F : offsets[2 * l], activation = offsets.empty() ? 0.0F : offsets[2 * l + 1];
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
      const int activation = rung_at(position_of(layer.bits, config[l].activation) + offsets[2 * l + 1], layer.bits.size());
      config[l].weight = layer.bits[static_cast<std::size_t>(weight)];
      config[l].activation = layer.bits[static_cast<std::size_t>(activation)];
    }
    return config;
  }

  void count_operations(const Network& network, std::size_t classes) {
    const Shape input = network.input_shape(), stem = network.layer(0).shape;
    std::int64_t macs = parameters.embedding.macs() + parameters.severity.macs() + parameters.offset.macs(), stop = 0;
    if (parameters.first_weight != 0) macs += parameters.first_residual.macs();
    for (const IntegerMlp& mlp : parameters.stop_residual) stop = std::max(stop, parameters.stop_weight != 0 ? mlp.macs() : 0);
    const double floats = 4.0 * static_cast<double>(parameters.feature_mean.size()) + kSoftmaxOperations * static_cast<double>(classes) +
                          12.0 * static_cast<double>(anchors.size());
    bops = statistics_bops(input.height, input.width) + kAddBops * stem.channels * stem.height * stem.width +
           kIntegerBops * static_cast<double>(macs + stop) + kFloatBops * floats;
  }
};

PolicyHead::PolicyHead(const ModelData& model) {
  auto impl = std::make_shared<Impl>();
  impl->parameters = unpack_policy(model);
  impl->space = model.space;
  impl->ranges = model.ranges;
  if (!model.ranges.empty() && model.ranges.size() != kStatisticsCount)
    throw Error(ExitCode::kData, "the model has ranges for " + std::to_string(model.ranges.size()) + " image statistics, this program computes " +
                                     std::to_string(kStatisticsCount), "model file, ranges", "export the model again");
  for (const Anchor& anchor : model.anchors) {
    impl->anchors.push_back(anchor.config);
    impl->temperatures.push_back(anchor.temperature);
  }
  const Shape stem = model.network.layer(0).shape;
  impl->pixels_inverse = 1.0F / static_cast<float>(stem.height * stem.width);
  impl->count_operations(model.network, static_cast<std::size_t>(model.network.classes()));
  impl_ = impl;
}

Observation PolicyHead::observe(const ImageStatistics& statistics, std::span<const std::int32_t> stem_sums) const {
  const PolicyParameters& p = impl_->parameters;
  if (stem_sums.size() + kStatisticsCount != p.feature_mean.size())
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

int PolicyHead::first_anchor(const Observation& observation, double lambda) const {
  const PolicyParameters& p = impl_->parameters;
  const float position = lambda_position(lambda, p.lambda_low, p.lambda_high, p.knots());
  const auto low = std::min(static_cast<std::size_t>(position), p.knots() - 2);
  const float share = position - static_cast<float>(low);
  thread_local std::vector<float> residual;
  residual.assign(p.anchors(), 0.0F);
  if (p.first_weight != 0 && !p.first_residual.empty()) {
    std::vector<std::int32_t> input = impl_->codes(observation, 1);
    input.push_back(lambda_code(lambda, p.lambda_low, p.lambda_high));
    p.first_residual.run(input, residual);
  }
  const std::vector<std::uint8_t>& allowed = p.first_allowed[impl_->nearest_knot(lambda)];
  int best = -1;
  float best_value = 0;
  for (std::size_t k = 0; k < p.anchors(); ++k) {
    if (!allowed[k]) continue;
    const float mean = p.first_value[low][k] + share * (p.first_value[low + 1][k] - p.first_value[low][k]);
    const float value = (mean + p.first_weight * residual[k]) + static_cast<float>(lambda) * p.first_cost[k];
    if (best < 0 || value < best_value) {
      best = static_cast<int>(k);
      best_value = value;
    }
  }
  return best;
}

int PolicyHead::second_anchor(const Observation& observation, int taken, std::span<const float> scores, double lambda, float* confidence,
                              int* label) const {
  const PolicyParameters& p = impl_->parameters;
  const Confidence sure = impl_->confidence(scores, taken);
  if (confidence) *confidence = sure.top;
  if (label) *label = sure.label;
  const auto from = static_cast<std::size_t>(taken);
  const std::uint8_t* allowed = p.pair_allowed[impl_->nearest_knot(lambda)].data() + from * p.anchors();
  if (std::find(allowed, allowed + p.anchors(), 1) == allowed + p.anchors()) return -1;
  thread_local std::vector<float> residual;
  residual.assign(p.anchors(), 0.0F);
  if (p.stop_weight != 0 && !p.stop_residual[from].empty()) {
    std::vector<std::int32_t> input = impl_->codes(observation, kConfidenceFeatures);
    const auto features = confidence_features(sure.top, sure.second, sure.entropy);
    for (std::size_t i = 0; i < features.size(); ++i)
      input.push_back(policy_code((features[i] - p.confidence_mean[i]) * p.confidence_scale[i]));
    p.stop_residual[from].run(input, residual);
  }
  const float at = impl_->signal(sure);
  int best = -1;
  float best_gain = 0;
  for (std::size_t k = 0; k < p.anchors(); ++k) {
    if (!allowed[k]) continue;
    const float drop = impl_->curve(from, k, at) + p.stop_weight * residual[k];
    const float gain = drop - static_cast<float>(lambda) * p.second_cost[k];
    if (gain > best_gain) {
      best = static_cast<int>(k);
      best_gain = gain;
    }
  }
  return best;
}

std::array<float, kConfidenceFeatures> PolicyHead::confidence_features(float top, float second, float entropy) {
  return {top, second, top - second, entropy, top * (1.0F - top), 1.0F - (top + second)};
}

FirstLook PolicyHead::first(const Observation& observation, double lambda) const {
  FirstLook result;
  result.anchor = first_anchor(observation, lambda);
  const std::size_t count = impl_->anchors.size();
  result.position = count > 1 ? static_cast<double>(result.anchor) / static_cast<double>(count - 1) : 0.0;
  const std::vector<float> offsets = impl_->offsets(observation, lambda);
  result.config = impl_->moved(result.anchor, offsets);
  result.distributions = impl_->distributions(result.anchor, offsets);
  return result;
}

SecondLook PolicyHead::second(const Observation& observation, const FirstLook& taken, std::span<const float> scores, double lambda) const {
  SecondLook result;
  result.anchor = second_anchor(observation, taken.anchor, scores, lambda, &result.confidence, &result.label);
  if (result.anchor >= 0) result.distributions = impl_->distributions(result.anchor, {});
  return result;
}

double PolicyHead::bops() const { return impl_->bops; }

}  // namespace bitpilot
