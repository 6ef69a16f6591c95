#include "runtime/policy_head.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "runtime/core/cost.h"
#include "runtime/core/error.h"
#include "runtime/policy_rules.h"

namespace bitpilot {
namespace {

constexpr double kFloatBops = 32.0 * 32.0;  // one float32 operation
constexpr double kIntegerBops = 8.0 * 8.0;  // one multiply-accumulate of the integer networks
constexpr double kAddBops = 32.0;  // adding one stem code to a running int32 sum, counted as in statistics_bops

const std::vector<float> kNoOffsets;

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

  static void set_codes(const Observation& observation, std::vector<std::int32_t>& codes) {
    codes.clear();
    for (const float e : observation.embedding) codes.push_back(policy_code(e));
  }

  /// Runs a network that reads embedding and lambda.
  void run_at(const IntegerMlp& mlp, const Observation& observation, double lambda, PolicyScratch& scratch,
              std::vector<float>& result) const {
    set_codes(observation, scratch.codes);
    scratch.codes.push_back(lambda_code(lambda, parameters.lambda_low, parameters.lambda_high));
    mlp.run(scratch.codes, scratch.hidden, result);
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

  /// `offsets`: none are zeros.
  void set_distributions(int anchor, const std::vector<float>& offsets, std::vector<LayerDistribution>& result) const {
    const BitConfig& config = anchors[static_cast<std::size_t>(anchor)];
    result.assign(config.size(), {});
    const float* spread = parameters.spread.data() + static_cast<std::size_t>(anchor) * config.size() * 2;
    for (std::size_t l = 0; l < config.size(); ++l) {
      const std::vector<int>& ladder = space.layers[l].bits;
      const float weight = offsets.empty() ? 0.0F : offsets[2 * l],
                  activation = offsets.empty() ? 0.0F : offsets[2 * l + 1];
      if (space.layers[l].fixed) continue;
      result[l] = {bits_at(ladder, position_of(ladder, config[l].weight) + weight), spread[2 * l],
                   bits_at(ladder, position_of(ladder, config[l].activation) + activation), spread[2 * l + 1]};
    }
  }

  void set_moved(int anchor, const std::vector<float>& offsets, BitConfig& config) const {
    config = anchors[static_cast<std::size_t>(anchor)];
    if (offsets.empty()) return;
    for (std::size_t l = 0; l < config.size(); ++l) {
      const LayerSpace& layer = space.layers[l];
      if (layer.fixed) continue;
      const int weight = rung_at(position_of(layer.bits, config[l].weight) + offsets[2 * l], layer.bits.size());
      const int activation =
          rung_at(position_of(layer.bits, config[l].activation) + offsets[2 * l + 1], layer.bits.size());
      config[l].weight = layer.bits[static_cast<std::size_t>(weight)];
      config[l].activation = layer.bits[static_cast<std::size_t>(activation)];
    }
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
    const bool again = std::any_of(parameters.pair_allowed.begin(), parameters.pair_allowed.end(), [](const std::vector<std::uint8_t>& row) {
      return std::find(row.begin(), row.end(), 1) != row.end();
    });
    choosing_bops = (again ? confidence_bops(classes) : 0.0) + kFloatBops * 12.0 * static_cast<double>(anchors.size());
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

const Observation& PolicyHead::observe(const ImageStatistics& statistics, std::span<const std::int32_t> stem_sums,
                                       PolicyScratch& scratch) const {
  const PolicyParameters& p = impl_->parameters;
  const std::size_t stem = p.feature_mean.size() - kStatisticsCount;
  if (stem > 0 && stem != stem_sums.size())
    throw Error(ExitCode::kBug, "stem sums of another network", "PolicyHead::observe", "report this");
  Observation& result = scratch.observation;
  scratch.codes.clear();
  for (std::size_t i = 0; i < p.feature_mean.size(); ++i) {
    const float x = i < kStatisticsCount ? statistics.values[i]
                                         : static_cast<float>(stem_sums[i - kStatisticsCount]) * impl_->pixels_inverse;
    scratch.codes.push_back(policy_code((x - p.feature_mean[i]) * p.feature_scale[i]));
  }
  p.embedding.run(scratch.codes, scratch.hidden, result.embedding);
  for (float& e : result.embedding) e = static_cast<float>(policy_code(e)) * kPolicyInputStep;
  Impl::set_codes(result, scratch.codes);
  p.severity.run(scratch.codes, scratch.hidden, scratch.outputs);
  result.severity = std::clamp(scratch.outputs.front(), 0.0F, 5.0F);
  result.out_of_range = false;
  for (std::size_t i = 0; i < impl_->ranges.size(); ++i) {
    const float low = impl_->ranges[i].first, high = impl_->ranges[i].second, x = statistics.values[i];
    const float half = (high - low) * 0.5F;
    if (!(x >= low - half && x <= high + half)) result.out_of_range = true;  // twice the range; NaN is outside too
  }
  return result;
}

void PolicyHead::first_residual(const Observation& observation, double wanted_lambda, PolicyScratch& scratch,
                                std::span<float> residual) const {
  const PolicyParameters& p = impl_->parameters;
  const double lambda = std::max(wanted_lambda, p.lambda_floor);
  std::fill(residual.begin(), residual.end(), 0.0F);
  if (p.first_residual.empty()) return;
  impl_->run_at(p.first_residual, observation, lambda, scratch, scratch.outputs);
  std::copy(scratch.outputs.begin(), scratch.outputs.end(), residual.begin());
}

LookSummary PolicyHead::summarise(const Observation& observation, int taken, std::span<const float> scores,
                                  PolicyScratch& scratch, std::span<float> residual) const {
  const PolicyParameters& p = impl_->parameters;
  LookConfidence& sure = scratch.confidence;
  sure = look_confidence(scores, impl_->temperatures[static_cast<std::size_t>(taken)], std::move(sure));
  std::fill(residual.begin(), residual.end(), 0.0F);
  const IntegerMlp& mlp = p.stop_residual[static_cast<std::size_t>(taken)];
  if (!residual.empty() && !mlp.empty()) {
    scratch.features =
        look_features(sure, static_cast<int>(p.confidence_mean.size()), std::move(scratch.features));
    Impl::set_codes(observation, scratch.codes);
    for (std::size_t i = 0; i < scratch.features.size(); ++i)
      scratch.codes.push_back(policy_code((scratch.features[i] - p.confidence_mean[i]) * p.confidence_scale[i]));
    mlp.run(scratch.codes, scratch.hidden, scratch.outputs);
    std::copy(scratch.outputs.begin(), scratch.outputs.end(), residual.begin());
  }
  return {sure.top, sure.label, impl_->signal(sure)};
}

const FirstLook& PolicyHead::first(const Observation& observation, double lambda, PolicyScratch& scratch) const {
  const PolicyParameters& p = impl_->parameters;
  scratch.residual.assign(p.anchors(), 0.0F);
  if (p.first_weight != 0) first_residual(observation, lambda, scratch, scratch.residual);
  FirstLook& result = scratch.first;
  result.anchor = choose_first(p, scratch.residual, lambda);
  result.position = impl_->positions[static_cast<std::size_t>(result.anchor)];
  if (!p.offset.empty()) impl_->run_at(p.offset, observation, lambda, scratch, scratch.offsets);
  const std::vector<float>& offsets = p.offset.empty() ? kNoOffsets : scratch.offsets;
  impl_->set_moved(result.anchor, offsets, result.config);
  impl_->set_distributions(result.anchor, offsets, result.distributions);
  return result;
}

const SecondLook& PolicyHead::second(const Observation& observation, const FirstLook& taken,
                                     std::span<const float> scores, double lambda, PolicyScratch& scratch) const {
  const PolicyParameters& p = impl_->parameters;
  scratch.residual.assign(p.anchors(), 0.0F);
  const std::span<float> residual(scratch.residual);
  const LookSummary summary =
      summarise(observation, taken.anchor, scores, scratch, p.stop_weight != 0 ? residual : std::span<float>());
  SecondLook& result = scratch.second;
  result.anchor = choose_second(p, taken.anchor, summary.signal, residual, lambda);
  result.confidence = summary.confidence;
  result.label = summary.label;
  result.distributions.clear();
  if (result.anchor >= 0) impl_->set_distributions(result.anchor, kNoOffsets, result.distributions);
  return result;
}

bool PolicyHead::reads_observation() const { return impl_->reads_observation(); }

const Observation& PolicyHead::unobserved(PolicyScratch& scratch) const {
  if (reads_observation()) throw Error(ExitCode::kBug, "this policy reads the picture", "PolicyHead::unobserved", "report this");
  Observation& result = scratch.observation;
  result.embedding.assign(static_cast<std::size_t>(impl_->parameters.embedding.outputs()), 0.0F);
  result.severity = std::numeric_limits<float>::quiet_NaN();
  result.out_of_range = false;
  return result;
}

double PolicyHead::bops(bool observed) const { return observed ? impl_->bops : impl_->choosing_bops; }
const PolicyParameters& PolicyHead::parameters() const { return impl_->parameters; }

double PolicyHead::relative_time(bool observed) const {
  const PolicyParameters& p = impl_->parameters;
  return p.choosing_cost + (observed ? p.guard_cost + (reads_observation() ? p.networks_cost : 0.0) : 0.0);
}

double guard_relative_cost(const ModelData& model) {
  const PolicyHead head(model);
  if (head.reads_observation()) return 0;
  if (head.parameters().cost_unit != "bops") return head.relative_time() - head.relative_time(/*observed=*/false);
  return (head.bops() - head.bops(/*observed=*/false)) / bops_table(model.network, model.space).reference();
}

}  // namespace bitpilot
