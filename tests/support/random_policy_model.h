#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "data/image_statistics.h"
#include "data/labels.h"
#include "runtime/core/cost.h"
#include "runtime/core/random.h"
#include "runtime/policy_parameters.h"
#include "tests/support/sample_model.h"

namespace bitpilot::testing {

inline IntegerMlp random_layer(Random& random, int inputs, int outputs, double scale) {
  IntegerLayer layer{inputs, outputs, {}, {}, {}};
  for (int i = 0; i < inputs * outputs; ++i)
    layer.weights.push_back(static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127));
  layer.bias.assign(static_cast<std::size_t>(outputs), 0);
  layer.multiplier.assign(static_cast<std::size_t>(outputs), static_cast<float>(scale));
  return {{layer}};
}

/// A model with random weights and a policy that looks once or twice, at anchors that differ from picture to picture
/// and with lambda.
inline ModelData random_policy_model(std::uint64_t seed = 1, int size = 28, int classes = 10) {
  SampleOptions options;
  options.seed = seed;
  options.policy = false;
  ModelData model = sample_model(sample_network(16, size, classes), options);
  Random random(seed, "random policy");
  const int anchors = static_cast<int>(model.anchors.size()), layers = model.network.layer_count();
  const int features = kStatisticsCount + model.network.layer(0).shape.channels, width = 4;
  if (classes == 10) model.labels = fashion_mnist_labels();
  model.statistics.assign(statistics_names().begin(), statistics_names().end());
  model.ranges.assign(kStatisticsCount, {-1e6F, 1e6F});

  PolicyParameters policy;
  policy.feature_mean.assign(static_cast<std::size_t>(features), 0);
  policy.feature_scale.assign(static_cast<std::size_t>(features), 0.002F);  // stem means
  std::fill_n(policy.feature_scale.begin(), kStatisticsCount, 0.02F);
  policy.embedding = random_layer(random, features, width, 3e-5);
  policy.severity = random_layer(random, width, 1, 1e-4);
  const CostTable cost = bops_table(model.network, model.space);
  for (const Anchor& anchor : model.anchors) {
    policy.first_cost.push_back(static_cast<float>(cost.cost(anchor.config) / cost.reference()));
    policy.second_cost.push_back(static_cast<float>(cost.cost_after_stem(anchor.config) / cost.reference()));
  }
  for (int knot = 0; knot < 2; ++knot) {
    std::vector<float> value;
    for (const float price : policy.first_cost) value.push_back(1.0F - 0.3F * price);
    policy.first_value.push_back(value);
    policy.first_allowed.emplace_back(static_cast<std::size_t>(anchors), 1);
    std::vector<std::uint8_t> pairs;
    for (int first = 0; first < anchors; ++first)
      for (int second = 0; second < anchors; ++second) {
        const auto a = static_cast<std::size_t>(first), b = static_cast<std::size_t>(second);
        pairs.push_back(policy.first_cost[b] > policy.first_cost[a]);
      }
    policy.pair_allowed.push_back(pairs);
  }
  policy.first_residual = random_layer(random, width + 1, anchors, 5e-5);
  policy.first_weight = 1;
  policy.signal = StopSignal::kOneMinusTop;
  policy.curve_at.assign(static_cast<std::size_t>(anchors), {0.7F, 0.95F});  // untrained scores are flat: near 0.83
  for (int taken = 0; taken < anchors; ++taken) {
    std::vector<float> drop;
    for (const float price : policy.first_cost) {
      drop.push_back(0);
      drop.push_back(0.6F * price);
    }
    policy.curve_drop.push_back(drop);
  }
  policy.confidence_mean.assign(6, 0);
  policy.confidence_scale.assign(6, 1);
  policy.stop_residual.resize(static_cast<std::size_t>(anchors));
  policy.spread.assign(static_cast<std::size_t>(anchors * layers) * 2, 0.25F);
  model.policy = pack_policy(policy);
  model.budget = {{0.01, 0.9}, {0.3, 0.4}, {2, 0.1}};
  model.default_lambda = 0.3;
  return model;
}

}  // namespace bitpilot::testing
