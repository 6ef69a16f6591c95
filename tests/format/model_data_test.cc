#include "runtime/format/model_data.h"

#include <doctest/doctest.h>

#include <cmath>

#include "runtime/core/error.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::sample_model;
using bitpilot::testing::sample_network;
using bitpilot::testing::SampleOptions;

namespace {

constexpr Symmetry kAllSymmetries[] = {Symmetry::kSymmetric, Symmetry::kAsymmetric, Symmetry::kNoZero,
                                       Symmetry::kBinMiddle};

/// Real weight of a stored code at `bits`, in units of one stored accumulator step, from the definition of each Form.
double real_weight(const LayerWeights& weights, int code, int bits) {
  const int drop = weights.stored_bits - bits;
  switch (weights.form.symmetry) {
    case Symmetry::kSymmetric:
      return std::ldexp(integer::nested_code(code, bits), drop);
    case Symmetry::kAsymmetric:
      return std::ldexp(integer::nested_code(code, bits) - integer::nested_code(weights.zero_point, bits), drop);
    case Symmetry::kNoZero:
      return std::ldexp(
          2 * ((code & integer::unsigned_highest(weights.stored_bits)) >> drop) - integer::unsigned_highest(bits),
          drop);
    case Symmetry::kBinMiddle:
      return std::ldexp(2 * (code >> drop) + 1, drop);
  }
  return 0;
}

}  // namespace

TEST_CASE("format/model_data: a folded layer decodes to the real weights of its Form at every width") {
  for (const Symmetry symmetry : kAllSymmetries)
    for (int bits = 2; bits <= 8; ++bits) {
      SampleOptions options;
      options.bits = {bits};
      options.form.symmetry = symmetry;
      const ModelData model = sample_model(sample_network(), options);
      const FoldedLayer folded = fold_layer(model, model.anchors[0].config, 1);
      const LayerWeights& weights = model.weights[1];
      const LayerCalibration& calibration = model.anchors[0].layers[1];
      REQUIRE(folded.codes.size() == weights.codes.size());
      const std::size_t filter = weights.codes.size() / 16;
      for (std::size_t i = 0; i < folded.codes.size(); i += 7) {
        const std::size_t o = i / filter;
        const double unit = folded.accumulator.g * folded.codes[i] + folded.accumulator.h;
        const double wanted = real_weight(weights, weights.codes[i], bits) * calibration.input_step *
                              weights.channel_scale[o] * calibration.gain *
                              std::exp2(calibration.channel_gain[o] / 64.0);
        CHECK(unit * folded.multiplier[o] == doctest::Approx(wanted).epsilon(1e-12));
        CHECK(folded.bias[o] == calibration.offset[o] * (1 << calibration.offset_shift));
      }
    }
}

TEST_CASE("format/model_data: only active filters and channels are folded, the stem whole") {
  const ModelData model = sample_model(sample_network());
  const BitConfig half = model.anchors.back().config;
  REQUIRE(model.anchors.back().name == "half8");
  const FoldedLayer stem = fold_layer(model, half, 0);
  CHECK(stem.active_out == 16);
  CHECK(stem.active_in == 1);
  const FoldedLayer conv = fold_layer(model, half, 1);
  CHECK(conv.active_out == 8);
  CHECK(conv.active_in == 8);
  REQUIRE(conv.codes.size() == 8 * 8 * 9);
  CHECK(conv.multiplier.size() == 8);
  for (int o = 0; o < 8; ++o)
    for (int i = 0; i < 8; ++i)
      for (int t = 0; t < 9; ++t)
        CHECK(conv.codes[(o * 8 + i) * 9 + t] == model.weights[1].codes[(o * 16 + i) * 9 + t]);
  const FoldedLayer depthwise = fold_layer(model, half, 4);
  CHECK(depthwise.active_in == 8);
  CHECK(depthwise.codes.size() == 8 * 9);
  const FoldedLayer classifier = fold_layer(model, half, 7);
  CHECK(classifier.active_out == 5);
  CHECK(classifier.active_in == 16);
  CHECK(classifier.codes[16] == model.weights[7].codes[32]);  // second row, first half of the features
}

TEST_CASE("format/model_data: behind an average pool the multiplier divides by its pixels") {
  const ModelData model = sample_model(sample_network());
  const FoldedLayer folded = fold_layer(model, model.anchors[2].config, 7);
  const LayerCalibration& calibration = model.anchors[2].layers[7];
  CHECK(folded.multiplier[1] == doctest::Approx(static_cast<double>(calibration.input_step) * calibration.gain *
                                                model.weights[7].channel_scale[1] / 9)
                                    .epsilon(1e-12));
}

TEST_CASE("format/model_data: a channel gain is in 1/64 octaves, whole octaves exactly") {
  SampleOptions options;
  ModelData model = sample_model(sample_network(), options);
  LayerCalibration& calibration = model.anchors[0].layers[1];
  for (int gain = -128; gain <= 127; ++gain) {
    calibration.channel_gain[0] = 0;
    const double base = fold_layer(model, model.anchors[0].config, 1).multiplier[0];
    calibration.channel_gain[0] = static_cast<std::int8_t>(gain);
    const double now = fold_layer(model, model.anchors[0].config, 1).multiplier[0];
    CHECK(now / base == doctest::Approx(std::exp2(gain / 64.0)).epsilon(1e-14));
    if (gain % 64 == 0) CHECK(now == std::ldexp(base, gain / 64));
  }
}

TEST_CASE("format/model_data: an anchor has its own calibration, others the nearest one's, layer by layer") {
  const ModelData model = sample_model(sample_network());  // u2, u4, u8, half8
  for (std::size_t a = 0; a < model.anchors.size(); ++a)
    for (int l = 0; l < model.network.layer_count(); ++l) {
      const CalibrationChoice choice = choose_calibration(model, model.anchors[a].config, l);
      CHECK(choice.exact);
      CHECK(choice.calibration == &model.anchors[a].layers[static_cast<std::size_t>(l)]);
    }
  BitConfig mixed = uniform_config(model.space, 4, 4);
  mixed[1] = {3, 2, 2};
  mixed[2] = {7, 7, 2};
  mixed[3] = {5, 5, 2};  // half of its four blocks
  const auto chosen = [&](int l) { return choose_calibration(model, mixed, l).calibration; };
  CHECK(find_anchor(model, mixed) == -1);
  CHECK_FALSE(choose_calibration(model, mixed, 1).exact);
  CHECK(chosen(1) == &model.anchors[0].layers[1]);  // log2(3/2) = 0.58 < log2(4/3) + log2(2)
  CHECK(chosen(2) == &model.anchors[2].layers[2]);
  CHECK(chosen(3) == &model.anchors[3].layers[3]);  // half8: 2 log2(8/5) = 1.36 < 2 log2(5/4) + 4 / 2
  CHECK(chosen(5) == &model.anchors[1].layers[5]);
  CHECK(chosen(7) == &model.anchors[1].layers[7]);  // all are at 8/8: as the layer that it reads, at 4/4
  mixed[6] = {8, 8, 2};
  CHECK(chosen(7) == &model.anchors[3].layers[7]);  // half8 there
  mixed[6] = {4, 4, 2};
  CHECK(chosen(7) == &model.anchors[1].layers[7]);  // 2 from u4 and from half8: nearer to u4 in all layers together
  mixed = model.anchors[3].config;
  mixed[6] = {4, 4, 2};
  CHECK(chosen(7) == &model.anchors[3].layers[7]);  // the same, nearer to half8
}

TEST_CASE("format/model_data: a calibration from other widths keeps steps, zero and offsets in real units") {
  SampleOptions options;
  options.bits = {8};
  ModelData model = sample_model(sample_network(), options);
  LayerCalibration& calibration = model.anchors[0].layers[1];
  calibration.input_zero_point = 128;
  calibration.offset[0] = 1000;
  calibration.offset_shift = 6;
  const FoldedLayer exact = fold_layer(model, model.anchors[0].config, 1);
  for (int w = 2; w <= 8; ++w)
    for (int a = 2; a <= 8; ++a) {
      BitConfig config = model.anchors[0].config;
      config[1].weight = w;
      config[1].activation = a;
      const FoldedLayer folded = fold_layer(model, config, 1);
      CHECK(folded.input_step == std::ldexp(exact.input_step, 8 - a));
      CHECK(folded.input_zero_point == 1 << (a - 1));
      // The carried bias is rounded to whole units of the accumulator.
      const double moved = folded.bias[0] * folded.multiplier[0] - exact.bias[0] * exact.multiplier[0];
      CHECK(std::abs(moved) <= 0.5001 * folded.multiplier[0]);
    }
}

TEST_CASE("format/model_data: sums that could pass 2^31 are refused, the largest that fit are not") {
  Network network;  // one filter of many channels
  const int stem = network.relu(network.conv("stem", network.input({1, 1, 1}), 32768, 1));
  const int wide = network.relu(network.conv("wide", stem, 8, 1));
  network.linear("classifier", network.global_avg_pool(wide), 2);
  network.finish();
  SampleOptions options;
  options.bits = {8};
  ModelData model = sample_model(network, options);
  std::fill(model.weights[1].codes.begin(), model.weights[1].codes.end(), std::int8_t{-128});
  LayerCalibration& calibration = model.anchors[0].layers[1];
  std::fill(calibration.offset.begin(), calibration.offset.end(), std::int16_t{0});
  calibration.input_zero_point = 0;
  fold_layer(model, model.anchors[0].config, 1);  // 32768 * 255 * 128 < 2^31
  calibration.offset[7] = 32767;
  calibration.offset_shift = 24;
  CHECK_THROWS_AS(fold_layer(model, model.anchors[0].config, 1), Error);
  calibration.offset_shift = 16;  // the sum of both is over the limit, either alone is not
  CHECK_THROWS_AS(fold_layer(model, model.anchors[0].config, 1), Error);
  calibration.offset_shift = 8;
  fold_layer(model, model.anchors[0].config, 1);
  model.weights[1].form.symmetry = Symmetry::kBinMiddle;  // g = 2 doubles the sums
  CHECK_THROWS_AS(fold_layer(model, model.anchors[0].config, 1), Error);
}

TEST_CASE("format/model_data: the sums of an average pool count every pixel towards the bound") {
  for (const int size : {16, 256}) {
    Network network;
    const int stem = network.relu(network.conv("stem", network.input({1, size, size}), 8, 3));
    network.linear("classifier", network.global_avg_pool(network.relu(network.conv("conv", stem, 8, 1))), 2);
    network.finish();
    ModelData model = sample_model(network);
    std::fill(model.weights[2].codes.begin(), model.weights[2].codes.end(), std::int8_t{-128});
    const auto fold = [&] { fold_layer(model, model.anchors[0].config, 2); };
    if (size == 16) fold();                           // 8 * 16^2 * 255 * 128 < 2^31
    if (size == 256) CHECK_THROWS_AS(fold(), Error);  // 8 * 256^2 * 255 * 128 > 2^31
  }
}

TEST_CASE("format/model_data: packed weights run at their own width only") {
  SampleOptions options;
  options.bits = {3};
  options.packed = true;
  const ModelData model = sample_model(sample_network(), options);
  BitConfig config = model.anchors[0].config;
  CHECK(fold_layer(model, config, 1).codes == model.weights[1].codes);
  for (const int bits : {2, 4, 8}) {
    config[1].weight = bits;
    CHECK_THROWS_AS(fold_layer(model, config, 1), Error);
  }
}
