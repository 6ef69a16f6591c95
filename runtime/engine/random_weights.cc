#include "runtime/engine/random_weights.h"

#include <cmath>

#include "runtime/core/fusion.h"
#include "runtime/core/integer.h"
#include "runtime/core/random.h"

namespace bitpilot {
namespace {

/// Root mean square of the picture's real values, which lie in 0..1, what is wanted of a layer's results, and of those that an Add adds to
/// what there is: sums of full ones would saturate.
constexpr double kPictureSpread = 0.5, kResultSpread = 0.4, kBranchSpread = 0.15;

/// Of what a layer reads: half of a result's square is left behind a ReLU.  A deep network dies out on a wrong factor.
double input_spread(const std::vector<FusedStep>& steps, int layer) {
  const int source = steps[static_cast<std::size_t>(layer)].source;
  if (source < 0) return kPictureSpread;
  const FusedStep& step = steps[static_cast<std::size_t>(source)];
  return step.relu && step.add_node < 0 ? kResultSpread / std::sqrt(2.0) : kResultSpread;
}

LayerWeights random_layer(const Network& network, int layer, double spread, double wanted, Random& random) {
  const int filters = network.layer(layer).shape.channels;
  const std::int64_t count = network.weight_count(layer);
  LayerWeights weights;
  const int highest = integer::signed_highest(8);
  for (std::int64_t i = 0; i < count; ++i)
    weights.codes.push_back(static_cast<std::int8_t>(
        static_cast<int>(random.below(static_cast<std::uint64_t>(2 * highest + 1))) - highest));
  const double code_spread = highest / std::sqrt(3.0);
  const double sum_spread = std::sqrt(static_cast<double>(count) / filters) * code_spread * spread;
  for (int o = 0; o < filters; ++o)
    weights.channel_scale.push_back(static_cast<float>(wanted * random.uniform(0.8, 1.2) / sum_spread));
  return weights;
}

Anchor plain_anchor(const Network& network, const std::string& name, const BitConfig& config) {
  Anchor anchor{name, config, {}, 1};
  const std::vector<FusedStep> steps = fuse(network);
  for (int l = 0; l < network.layer_count(); ++l) {
    const int bits = config[static_cast<std::size_t>(l)].activation;
    const int source = steps[static_cast<std::size_t>(l)].source;
    const auto filters = static_cast<std::size_t>(network.layer(l).shape.channels);
    LayerCalibration layer;
    layer.input_step = 1.0F / static_cast<float>(integer::unsigned_highest(bits));
    const bool is_signed = source >= 0 && !steps[static_cast<std::size_t>(source)].relu;
    if (is_signed) layer.input_zero_point = (integer::unsigned_highest(bits) + 1) / 2;
    layer.channel_gain.assign(filters, 0);
    layer.offset.assign(filters, 0);
    anchor.layers.push_back(std::move(layer));
  }
  return anchor;
}

}  // namespace

ModelData random_weights(const Network& network, std::uint64_t seed) {
  Random random(seed, "random weights");
  ModelData model;
  model.network = network;
  model.space = make_bit_space(network, {2, 3, 4, 5, 6, 7, 8});
  for (int c = 0; c < network.classes(); ++c) model.labels.push_back("class " + std::to_string(c));
  const std::vector<FusedStep> steps = fuse(network);
  for (int l = 0; l < network.layer_count(); ++l) {
    const bool added = steps[static_cast<std::size_t>(l)].add_node >= 0;
    model.weights.push_back(random_layer(network, l, input_spread(steps, l), added ? kBranchSpread : kResultSpread, random));
    const bool relu = steps[static_cast<std::size_t>(l)].relu;
    model.carries.push_back({(relu ? 1.0F : 2.0F) / 255, relu ? 0 : 128});
  }
  for (const int bits : {8, 4, 2})
    model.anchors.push_back(plain_anchor(network, "u" + std::to_string(bits), uniform_config(model.space, bits, bits)));
  for (const int bits : {8, 2})
    model.anchors.push_back(
        plain_anchor(network, "half" + std::to_string(bits), uniform_config(model.space, bits, bits, 0.5)));
  model.budget = {{0, 1}};
  return model;
}

}  // namespace bitpilot
