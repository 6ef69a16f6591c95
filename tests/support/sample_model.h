#pragma once

#include <string>
#include <vector>

#include "runtime/core/integer.h"
#include "runtime/core/random.h"
#include "runtime/format/model_data.h"

namespace bitpilot::testing {

/// A network with everything in it: stem, residual block with identity, depthwise pair, projection, max pool, average
/// pool.
inline Network sample_network(int width = 16, int size = 12, int classes = 5) {
  Network network;
  network.name = "sample";
  int x = network.relu(network.conv("stem", network.input({1, size, size}), width, 3));
  const int main = network.relu(network.conv("block1.conv1", x, width, 3));
  x = network.relu(network.add(x, network.conv("block1.conv2", main, width, 3)));
  const int shortcut = network.conv("block2.shortcut", x, 2 * width, 1, 2);
  x = network.relu(network.conv("block2.depthwise", x, width, 3, 2, width));
  x = network.relu(network.add(shortcut, network.conv("block2.pointwise", x, 2 * width, 1)));
  x = network.max_pool(x, 3, 2, 1);
  x = network.relu(network.conv("block3.conv1", x, 2 * width, 3));
  network.linear("classifier", network.global_avg_pool(x), classes);
  network.finish();
  return network;
}

struct SampleOptions {
  std::vector<int> bits{2, 4, 8};
  std::uint64_t seed = 1;
  Form form;            ///< of the adaptive layers
  bool packed = false;  ///< store adaptive layers at their single width; needs one entry in `bits`
  bool policy = true;
  bool gains = true;  ///< channel gains other than 0 in the second anchor
};

/// Random weights and plausible calibration for any network: one anchor for each of `bits`, and a narrow one.
inline ModelData sample_model(const Network& network, const SampleOptions& options = {}) {
  Random random(options.seed, "sample model");
  ModelData model;
  model.network = network;
  model.space = make_bit_space(network, options.bits);
  for (int c = 0; c < network.classes(); ++c) model.labels.push_back("class " + std::to_string(c));
  for (int l = 0; l < network.layer_count(); ++l) {
    LayerWeights weights;
    if (!network.fixed(l)) weights.form = options.form;
    if (options.packed && !network.fixed(l)) weights.stored_bits = options.bits.front();
    const int bits = weights.stored_bits;
    const bool is_unsigned = weights.form.symmetry == Symmetry::kNoZero;
    if (weights.form.symmetry == Symmetry::kAsymmetric) weights.zero_point = integer::signed_lowest(bits) / 2;
    for (std::int64_t i = 0; i < network.weight_count(l); ++i) {
      const int code = static_cast<int>(random.below(1ULL << bits));
      weights.codes.push_back(static_cast<std::int8_t>(is_unsigned ? code : code + integer::signed_lowest(bits)));
    }
    const bool one = weights.form.granularity == Granularity::kTensor;
    for (int o = 0; o < network.layer(l).shape.channels; ++o)
      weights.channel_scale.push_back(one && o > 0 ? weights.channel_scale.front()
                                                   : static_cast<float>(random.uniform(0.001, 0.004)));
    model.weights.push_back(std::move(weights));
    model.carries.push_back({static_cast<float>(random.uniform(0.02, 0.05)), 0});
  }
  const auto add_anchor = [&](const std::string& name, const BitConfig& config) {
    Anchor anchor{name, config, {}, static_cast<float>(random.uniform(0.8, 1.6))};
    for (int l = 0; l < network.layer_count(); ++l) {
      LayerCalibration layer;
      layer.input_step =
          l == 0 ? 1.0F / 255
                 : static_cast<float>(random.uniform(0.5, 1.5) /
                                      integer::unsigned_highest(config[static_cast<std::size_t>(l)].activation));
      layer.gain = static_cast<float>(random.uniform(0.9, 1.1));
      layer.offset_shift = static_cast<int>(random.below(3));
      for (int o = 0; o < network.layer(l).shape.channels; ++o) {
        layer.offset.push_back(static_cast<std::int16_t>(static_cast<int>(random.below(2001)) - 1000));
        layer.channel_gain.push_back(static_cast<std::int8_t>(
            options.gains && model.anchors.size() == 1 ? static_cast<int>(random.below(65)) - 32 : 0));
      }
      // One stem serves every configuration.
      anchor.layers.push_back(l == 0 && !model.anchors.empty() ? model.anchors.front().layers.front() : layer);
    }
    model.anchors.push_back(std::move(anchor));
  };
  for (const int bits : options.bits) add_anchor("u" + std::to_string(bits), uniform_config(model.space, bits, bits));
  add_anchor("half" + std::to_string(options.bits.back()),
             uniform_config(model.space, options.bits.back(), options.bits.back(), 0.5));
  model.safe_anchor = static_cast<int>(options.bits.size()) - 1;
  model.budget = {{0, 0.9}, {0.5, 0.3}, {2, 0.1}};
  model.default_lambda = 0.5;
  model.statistics = {"sharpness", "noise"};
  model.ranges = {{0.0F, 1.5F}, {-0.25F, 3.1F}};
  model.provenance = R"({"recipe":"sample","seed":1})";
  if (options.policy) {
    model.policy.description = R"({"layers":[3,2]})";
    model.policy.tensors["hidden.weight"] = {"I8", {2, 3}, {1, 2, 3, 4, 5, 6}};
    model.policy.tensors["hidden.bias"] = {"I32", {2}, {1, 0, 0, 0, 255, 255, 255, 255}};
  }
  return model;
}

}  // namespace bitpilot::testing
