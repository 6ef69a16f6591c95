#include "runtime/random_policy.h"

#include <cmath>

#include "data/image_statistics.h"
#include "runtime/core/cost.h"
#include "runtime/look_confidence.h"

namespace bitpilot {

IntegerMlp random_mlp(const std::vector<int>& widths, Random& random, double output_scale) {
  IntegerMlp mlp;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    IntegerLayer layer;
    layer.inputs = widths[i];
    layer.outputs = widths[i + 1];
    const bool last = i + 2 == widths.size();
    for (int o = 0; o < layer.outputs; ++o) {
      for (int j = 0; j < layer.inputs; ++j)
        layer.weights.push_back(static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127));
      layer.bias.push_back(static_cast<std::int32_t>(random.below(4001)) - 2000);
      const double spread = 73.0 * 40.0 * std::sqrt(static_cast<double>(layer.inputs));  // of the accumulator, roughly
      layer.multiplier.push_back(static_cast<float>((last ? output_scale : 100.0) / spread));
    }
    mlp.layers.push_back(std::move(layer));
  }
  return mlp;
}

PolicyParameters random_policy(const ModelData& model, std::uint64_t seed) {
  Random random(seed, "random policy");
  const int stem = model.network.layer(0).shape.channels, embedding = 6;
  const auto anchors = static_cast<int>(model.anchors.size());
  const auto k = model.anchors.size();
  const CostTable cost = bops_table(model.network, model.space);
  PolicyParameters p;
  for (int f = 0; f < kStatisticsCount + stem; ++f) {
    p.feature_mean.push_back(static_cast<float>(random.uniform(-1, 1)));
    p.feature_scale.push_back(static_cast<float>(random.uniform(0.2, 2)));
  }
  p.embedding = random_mlp({kStatisticsCount + stem, 12, embedding}, random);
  p.severity = random_mlp({embedding, 1}, random, 2.0);
  for (const Anchor& anchor : model.anchors) {
    p.first_cost.push_back(static_cast<float>(cost.cost(anchor.config) / cost.reference()));
    p.second_cost.push_back(static_cast<float>(cost.cost_after_stem(anchor.config) / cost.reference()));
  }
  p.first_value.assign(9, {});
  for (auto& row : p.first_value) {
    for (int a = 0; a < anchors; ++a) row.push_back(static_cast<float>(random.uniform(0.2, 0.8)));
  }
  p.first_residual = random_mlp({embedding + 1, 8, anchors}, random, 0.3);
  p.first_weight = 0.5F;
  p.first_allowed.assign(9, std::vector<std::uint8_t>(k, 1));
  p.pair_allowed.assign(9, std::vector<std::uint8_t>(k * k, 0));
  for (auto& row : p.pair_allowed) {
    for (std::size_t a = 0; a < k; ++a) {
      for (std::size_t b = 0; b < k; ++b) row[a * k + b] = p.first_cost[b] > p.first_cost[a] ? 1 : 0;
    }
  }
  for (std::size_t a = 0; a < k; ++a) {
    p.curve_at.push_back({0.0F, 0.3F, 0.8F, 1.4F});
    std::vector<float> drops;
    for (std::size_t b = 0; b < k; ++b) {
      for (const double level : {0.0, 0.1, 0.4, 1.0})
        drops.push_back(static_cast<float>(level * random.uniform(0.5, 1.0)));
    }
    p.curve_drop.push_back(drops);
    p.stop_residual.push_back(random_mlp({embedding + kSummaryFeatures, 5, anchors}, random, 0.1));
  }
  p.confidence_mean.assign(kSummaryFeatures, 0.4F);
  p.confidence_scale.assign(kSummaryFeatures, 2.0F);
  p.stop_weight = 0.75F;
  p.spread.assign(k * static_cast<std::size_t>(model.network.layer_count()) * 2, 0.25F);
  return p;
}

void add_random_policy(ModelData& model, std::uint64_t seed) {
  model.policy = pack_policy(random_policy(model, seed));
  model.statistics.assign(statistics_names().begin(), statistics_names().end());
  model.ranges.assign(kStatisticsCount, {-1e6F, 1e6F});
  model.default_lambda = 1;
}

}  // namespace bitpilot
