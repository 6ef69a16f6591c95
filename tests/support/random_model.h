#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "runtime/core/fusion.h"
#include "runtime/core/network.h"
#include "runtime/core/random.h"
#include "runtime/format/model_data.h"

/// Small random models that use everything the integer rule allows: every Form, zero points, residuals, depthwise
/// layers, pools, widths.
namespace bitpilot::testing {

struct RandomModelOptions {
  bool large_zero_points =
      false;                 ///< input zero points up to the highest code, else up to 3 (so that any bits can use them)
  bool plain_forms = false;  ///< symmetric weights only
  bool powers_of_two = false;  ///< every step and scale: values then lie halfway between codes again and again
};

/// Draws one network, then one model over it.
class RandomModel {
 public:
  explicit RandomModel(std::uint64_t seed, RandomModelOptions options = {})
      : random_(seed, "random model"), options_(options) {
    build_network();
    build_model();
  }
  /// A random model over a given network.
  RandomModel(const Network& network, std::uint64_t seed, RandomModelOptions options = {})
      : random_(seed, "random model"), options_(options) {
    model_.network = network;
    build_model();
  }

  const ModelData& model() const { return model_; }

  /// An anchor or, half of the time, any other configuration that the model can run.
  BitConfig config() {
    const auto anchor = [&] { return model_.anchors[random_.below(model_.anchors.size())].config; };
    if (random_.below(2) == 0) return anchor();
    for (int tries = 0; tries < 20; ++tries) {
      const BitConfig drawn = any_config();
      bool fits = true;
      for (int l = 0; l < model_.network.layer_count(); ++l)
        fits = fits && choose_calibration(model_, drawn, l).calibration->input_zero_point <=
                           integer::unsigned_highest(drawn[static_cast<std::size_t>(l)].activation);
      if (fits) return drawn;
    }
    return anchor();
  }

  /// Random pixels; now and then a flat black or white picture.
  std::vector<std::uint8_t> picture() {
    const Shape shape = model_.network.input_shape();
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(shape.channels * shape.height * shape.width));
    const int kind = between(0, 7);
    for (std::uint8_t& code : codes)
      code = kind == 0 ? 0 : kind == 1 ? 255 : static_cast<std::uint8_t>(random_.below(256));
    return codes;
  }

 private:
  void build_model() {
    model_.space = make_bit_space(model_.network, some_bits(), random_.below(2) == 0 ? 8 : 16);
    steps_ = fuse(model_.network);
    for (int c = 0; c < model_.network.classes(); ++c) model_.labels.push_back("class" + std::to_string(c));
    for (int l = 0; l < model_.network.layer_count(); ++l) add_layer(l);
    const int anchors = between(1, 4);
    for (int a = 0; a < anchors; ++a) add_anchor(a);
  }

  int between(int low, int high) {
    return low + static_cast<int>(random_.below(static_cast<std::uint64_t>(high - low + 1)));
  }
  bool chance(double probability) { return random_.uniform() < probability; }
  /// The nearest power of two if the model has only such steps.
  float step(double value) {
    return static_cast<float>(options_.powers_of_two ? std::exp2(std::round(std::log2(std::abs(value) + 1e-9)))
                                                     : value);
  }
  std::string next_name() { return "layer" + std::to_string(names_++); }
  int channels() { return chance(0.7) ? 8 * between(1, 4) : between(1, 20); }
  Shape shape(int node) const { return model_.network.nodes[static_cast<std::size_t>(node)].shape; }
  int conv(int src, int out, int kernel, int stride, int groups = 1) {
    return model_.network.conv(next_name(), src, out, kernel, stride, groups);
  }
  int maybe_relu(int node) { return chance(0.75) ? model_.network.relu(node) : node; }

  std::vector<int> some_bits() {
    std::vector<int> bits;
    for (int b = 2; b <= 8; ++b)
      if (chance(0.5)) bits.push_back(b);
    if (bits.empty()) bits.push_back(between(2, 8));
    return bits;
  }

  void build_network() {
    Network& net = model_.network;
    net.name = "random";
    const int colours[] = {1, 1, 3, 3, 2, 5};
    int node = net.input({colours[random_.below(6)], between(5, 14), between(5, 14)});
    node = maybe_relu(conv(node, channels(), chance(0.6) ? 3 : between(1, 5), chance(0.7) ? 1 : 2));
    if (chance(0.3)) node = net.max_pool(node, 3, 2, 1);
    const int blocks = between(1, 4);
    for (int b = 0; b < blocks; ++b) node = block(node);
    if (net.nodes[static_cast<std::size_t>(node)].op == Op::kMaxPool) node = maybe_relu(conv(node, channels(), 1, 1));
    node = net.global_avg_pool(node);
    if (chance(0.25)) node = maybe_relu(net.linear(next_name(), node, channels(), true));
    net.linear(next_name(), node, between(2, 20));
    net.finish();
  }

  int max_pool(int node) {
    const int kernel = between(1, 3);
    const bool small = std::min(shape(node).height, shape(node).width) < kernel;
    return model_.network.max_pool(node, kernel, between(1, 2), small ? kernel - 1 : between(0, kernel - 1));
  }

  int block(int node) {
    Network& net = model_.network;
    const int c = shape(node).channels;
    switch (between(0, 5)) {
      case 0:  // plain, sometimes pooled
        node = maybe_relu(conv(node, channels(), between(1, 5), between(1, 2)));
        return chance(0.4) ? max_pool(node) : node;
      case 1:  // depthwise and pointwise
        if (c > 1) node = maybe_relu(conv(node, c, chance(0.7) ? 3 : 5, between(1, 2), c));
        return maybe_relu(conv(node, channels(), 1, 1));
      case 2:
      case 3: {  // residual with identity
        const int inner = maybe_relu(conv(node, chance(0.5) ? c : channels(), 3, 1));
        return maybe_relu(net.add(node, conv(inner, c, chance(0.7) ? 3 : 1, 1)));
      }
      case 4: {  // residual with projection
        const int out = channels(), stride = between(1, 2);
        const int inner = maybe_relu(conv(node, out, 3, stride));
        const int projection = conv(node, out, 1, stride);
        return maybe_relu(net.add(projection, conv(inner, out, 3, 1)));
      }
      default:  // two readers of one value without an Add of the value itself
        return maybe_relu(conv(maybe_relu(conv(node, channels(), 3, 1)), channels(), 1, between(1, 2)));
    }
  }

  int code_of(int bits, bool is_unsigned) {
    const int lowest = is_unsigned ? 0 : integer::signed_lowest(bits);
    const int highest = is_unsigned ? integer::unsigned_highest(bits) : integer::signed_highest(bits);
    if (extreme_) return chance(0.5) ? lowest : highest;
    return between(lowest, highest);
  }

  void add_layer(int l) {
    const Node& node = model_.network.layer(l);
    LayerWeights layer;
    const Symmetry symmetries[] = {Symmetry::kSymmetric, Symmetry::kAsymmetric, Symmetry::kNoZero,
                                   Symmetry::kBinMiddle};
    if (!options_.plain_forms) layer.form.symmetry = symmetries[random_.below(4)];
    layer.form.granularity = chance(0.5) ? Granularity::kChannel : Granularity::kTensor;
    LayerSpace& space = model_.space.layers[static_cast<std::size_t>(l)];
    if (!space.fixed && chance(0.15)) space.bits = {layer.stored_bits = between(2, 8)};
    if (layer.form.symmetry == Symmetry::kAsymmetric)
      layer.zero_point =
          between(integer::signed_lowest(layer.stored_bits), integer::signed_highest(layer.stored_bits)) / 2;
    extreme_ = chance(0.1);
    const bool is_unsigned = layer.form.symmetry == Symmetry::kNoZero;
    for (std::int64_t i = 0; i < model_.network.weight_count(l); ++i)
      layer.codes.push_back(static_cast<std::int8_t>(code_of(layer.stored_bits, is_unsigned)));
    const double taps = static_cast<double>(model_.network.weight_count(l)) / node.shape.channels;
    const bool doubled = layer.form.symmetry == Symmetry::kNoZero || layer.form.symmetry == Symmetry::kBinMiddle;
    const double spread = std::ldexp(doubled ? 1.2 : 0.6, layer.stored_bits - 1);  // of an effective weight
    const double common = random_.uniform(0.8, 2.0) / (spread * std::sqrt(taps));
    const double tensor = random_.uniform(0.7, 1.4);
    for (int o = 0; o < node.shape.channels; ++o)
      layer.channel_scale.push_back(
          step(common * (layer.form.granularity == Granularity::kTensor ? tensor : random_.uniform(-0.3, 1.4))));
    model_.weights.push_back(std::move(layer));
    const bool relu = steps_[static_cast<std::size_t>(l)].relu;
    model_.carries.push_back({step(random_.uniform(0.5, 2.0) / (relu ? 255 : 128)), relu ? 0 : 128});
  }

  BitConfig any_config() {
    BitConfig config;
    std::vector<int> blocks(static_cast<std::size_t>(model_.network.layer_count()), 0);  // of a width group
    const bool whole = chance(0.3);
    for (int l = 0; l < model_.network.layer_count(); ++l) {
      const LayerSpace& space = model_.space.layers[static_cast<std::size_t>(l)];
      if (space.fixed) {
        config.push_back({8, 8, space.blocks});
        continue;
      }
      int& now = blocks[static_cast<std::size_t>(model_.network.width_groups()[static_cast<std::size_t>(l)])];
      if (now == 0) now = whole ? space.blocks : between(1, space.blocks);
      const int stored = model_.weights[static_cast<std::size_t>(l)].stored_bits;
      config.push_back({stored < 8 ? stored : between(2, 8), between(2, 8), now});
    }
    return config;
  }

  bool behind_relu(int l) const {
    const int source = steps_[static_cast<std::size_t>(l)].source;
    return source < 0 || steps_[static_cast<std::size_t>(source)].relu;
  }

  void add_anchor(int index) {
    Anchor anchor;
    anchor.name = "anchor" + std::to_string(index);
    anchor.config = any_config();
    // Repeated configurations would make the first one hide the others.
    for (const Anchor& other : model_.anchors)
      if (other.config == anchor.config) return;
    for (int l = 0; l < model_.network.layer_count(); ++l) {
      const bool stem_again = l == 0 && !model_.anchors.empty();
      anchor.layers.push_back(stem_again ? model_.anchors.front().layers.front()
                                         : calibration(l, anchor.config[static_cast<std::size_t>(l)]));
    }
    model_.anchors.push_back(std::move(anchor));
  }

  LayerCalibration calibration(int l, const LayerBits& bits) {
    LayerCalibration calibration;
    const int highest = integer::unsigned_highest(bits.activation);
    calibration.input_step = step(l == 0 ? 1.0 / 255 : random_.uniform(0.7, 1.4) / highest);
    if (!behind_relu(l)) calibration.input_zero_point = between(0, options_.large_zero_points ? highest : 3);
    // Now and then exactly the stem's code, which readers may then share.
    if (l > 0 && steps_[static_cast<std::size_t>(l)].source == 0 && bits.activation == 8 && chance(0.5)) {
      calibration.input_step = model_.carries[0].step;
      if (options_.large_zero_points || model_.carries[0].zero_point == 0)
        calibration.input_zero_point = model_.carries[0].zero_point;
    }
    calibration.gain = step(random_.uniform(0.5, 1.25));
    const LayerWeights& weights = model_.weights[static_cast<std::size_t>(l)];
    for (std::size_t o = 0; o < weights.channel_scale.size(); ++o) {
      calibration.channel_gain.push_back(
          static_cast<std::int8_t>(options_.powers_of_two ? 64 * between(-1, 1) : between(-40, 40)));
      calibration.offset.push_back(static_cast<std::int16_t>(between(-3000, 3000)));
    }
    // Offsets of about half a unit: 3000 * 2^shift accumulator steps.
    const double unit = static_cast<double>(calibration.input_step) *
                        std::ldexp(1.0, weights.stored_bits - bits.weight) *
                        static_cast<double>(std::abs(weights.channel_scale.front()) + 1e-4F);
    calibration.offset_shift = std::clamp(static_cast<int>(std::log2(0.5 / (unit * 3000) + 1e-9)), 0, 12);
    if (0.5 / unit < 3000)
      for (std::int16_t& offset : calibration.offset) offset = static_cast<std::int16_t>(offset * (0.5 / unit) / 3000);
    return calibration;
  }

  Random random_;
  RandomModelOptions options_;
  ModelData model_;
  std::vector<FusedStep> steps_;
  int names_ = 0;
  bool extreme_ = false;
};

}  // namespace bitpilot::testing
