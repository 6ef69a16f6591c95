#include "runtime/format/model_data.h"

#include <array>
#include <cmath>
#include <cstdlib>

#include "runtime/core/error.h"
#include "runtime/core/nearest_config.h"

namespace bitpilot {
namespace {

constexpr std::int64_t kAccumulatorLimit = std::int64_t{1} << 31;  // of |acc| + |bias|

/// 2^(sixty_fourths / 64) by square roots and products alone, which IEEE 754 rounds the same everywhere; exp2 differs
/// between machines.
double octaves(int sixty_fourths) {
  const int whole = sixty_fourths >> 6;  // arithmetic shift: rounds down
  const int rest = sixty_fourths - whole * 64;
  double root = 2, result = 1;
  for (int bit = 5; bit >= 0; --bit) {
    root = std::sqrt(root);
    if (rest >> bit & 1) result *= root;
  }
  return std::ldexp(result, whole);
}

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ExitCode::kData, what, where, "export the model again");
}

/// Pixels that a global average pool before the layer sums up, 1 without one.
int pooled_pixels(const Network& network, const Node& layer) {
  const Node& source = network.nodes[static_cast<std::size_t>(layer.inputs[0])];
  if (source.op != Op::kGlobalAvgPool) return 1;
  const Shape& shape = network.nodes[static_cast<std::size_t>(source.inputs[0])].shape;
  return shape.height * shape.width;
}

/// Codes of the active filters and active input channels at folded.weight_bits.
void fold_codes(const LayerWeights& weights, const Node& node, int in, FoldedLayer& folded) {
  const int taps = node.kernel * node.kernel;
  const int in_per_group = in / node.groups, active_per_group = node.groups > 1 ? in_per_group : folded.active_in;
  const auto filter = static_cast<std::size_t>(in_per_group * taps),
             active = static_cast<std::size_t>(active_per_group * taps);
  const integer::NarrowWeight narrow(weights.form.symmetry, weights.stored_bits, folded.weight_bits,
                                     weights.zero_point);
  folded.accumulator = narrow.form();
  const std::array<std::int8_t, 256> narrowed = narrow.all_codes();
  folded.codes.resize(static_cast<std::size_t>(folded.active_out) * active);
  for (std::size_t o = 0; o < static_cast<std::size_t>(folded.active_out); ++o)
    for (std::size_t i = 0; i < active; ++i)
      folded.codes[o * active + i] = narrowed[static_cast<std::uint8_t>(weights.codes[o * filter + i])];
}

/// Steps, multipliers and biases of the active filters.
void fold_calibration(const LayerWeights& weights, const CalibrationChoice& choice, int pixels, FoldedLayer& folded,
                      const std::string& where) {
  const LayerCalibration& calibration = *choice.calibration;
  const int finer = folded.activation_bits - choice.bits.activation;  // octaves by which the activation codes are finer
  const int unit = finer + folded.weight_bits - choice.bits.weight;   // octaves by which the accumulator's unit is
  folded.input_step = std::ldexp(calibration.input_step, -finer);
  folded.input_zero_point = std::min(static_cast<int>(integer::rne(std::ldexp(calibration.input_zero_point, finer))),
                                     integer::unsigned_highest(folded.activation_bits));
  const double common = static_cast<double>(folded.input_step) *
                        std::ldexp(1.0, weights.stored_bits - folded.weight_bits) *
                        static_cast<double>(calibration.gain) / pixels;
  for (std::size_t o = 0; o < static_cast<std::size_t>(folded.active_out); ++o) {
    folded.multiplier.push_back(common * static_cast<double>(weights.channel_scale[o]) *
                                octaves(calibration.channel_gain[o]));
    const double bias = integer::rne(std::ldexp(calibration.offset[o], calibration.offset_shift + unit));
    if (!(std::abs(bias) < kAccumulatorLimit)) refuse("an offset overflows 32 bits", where);
    folded.bias.push_back(static_cast<std::int32_t>(bias));
  }
}

/// |acc| and every partial sum of it stay below this, plus |bias|.
void check_accumulator(const FoldedLayer& folded, int pixels, const std::string& where) {
  const int highest = integer::unsigned_highest(folded.activation_bits);
  const std::int64_t reach =
      static_cast<std::int64_t>(std::max(highest - folded.input_zero_point, folded.input_zero_point)) * pixels;
  const std::size_t filter = folded.codes.size() / static_cast<std::size_t>(folded.active_out);
  for (std::size_t o = 0; o < static_cast<std::size_t>(folded.active_out); ++o) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < filter; ++i)
      sum += std::abs(folded.accumulator.g * static_cast<std::int64_t>(folded.codes[o * filter + i])) +
             std::abs(folded.accumulator.h);
    std::int64_t bound = 0;
    const bool overflow = __builtin_mul_overflow(sum, reach, &bound) ||
                          __builtin_add_overflow(bound, std::abs(static_cast<std::int64_t>(folded.bias[o])), &bound);
    if (overflow || bound >= kAccumulatorLimit) refuse("the sums of a layer could overflow 32 bits", where);
  }
}

}  // namespace

int find_anchor(const ModelData& model, const BitConfig& config) {
  for (std::size_t i = 0; i < model.anchors.size(); ++i)
    if (model.anchors[i].config == config) return static_cast<int>(i);
  return -1;
}

CalibrationChoice choose_calibration(const ModelData& model, const BitConfig& config, int layer) {
  const auto l = static_cast<std::size_t>(layer);
  if (const int exact = find_anchor(model, config); exact >= 0)
    return {&model.anchors[static_cast<std::size_t>(exact)].layers[l], config[l], true};
  if (model.anchors.empty()) refuse("a model without anchors", model.network.name);
  std::vector<const BitConfig*> configs;
  for (const Anchor& anchor : model.anchors) configs.push_back(&anchor.config);
  const Anchor& nearest = model.anchors[nearest_config(config, layer, fuse(model.network), model.space, configs)];
  return {&nearest.layers[l], nearest.config[l], false};
}

FoldedLayer fold_layer(const ModelData& model, const BitConfig& config, int layer) {
  const auto l = static_cast<std::size_t>(layer);
  const Node& node = model.network.layer(layer);
  const LayerWeights& weights = model.weights[l];
  const CalibrationChoice choice = choose_calibration(model, config, layer);
  FoldedLayer folded;
  folded.weight_bits = config[l].weight;
  folded.activation_bits = config[l].activation;
  // The stem and the classifier are computed whole, whatever their readers take.
  folded.active_out =
      model.network.fixed(layer) ? node.shape.channels : model.network.active_out(layer, config, model.space);
  folded.active_in = model.network.active_in(layer, config, model.space);
  const bool packed = weights.stored_bits < 8;
  if (folded.weight_bits > weights.stored_bits || (packed && folded.weight_bits != weights.stored_bits))
    refuse("weights stored at " + std::to_string(weights.stored_bits) + " bits cannot run at " +
               std::to_string(folded.weight_bits),
           node.name);
  fold_codes(weights, node, model.network.in_channels(layer), folded);
  const int pixels = pooled_pixels(model.network, node);
  fold_calibration(weights, choice, pixels, folded, node.name);
  check_accumulator(folded, pixels, node.name);
  return folded;
}

}  // namespace bitpilot
