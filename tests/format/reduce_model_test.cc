#include "runtime/format/reduce_model.h"

#include <doctest/doctest.h>

#include <cmath>

#include "runtime/format/model_file.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::sample_model;
using bitpilot::testing::sample_network;

TEST_CASE("format/reduce_model: a layer with one weight width is stored at it, and folds to the same numbers") {
  ModelData model = sample_model(sample_network());  // anchors of 2, 4 and 8 bits, and a narrow one of 8
  std::erase_if(model.anchors, [](const Anchor& anchor) { return anchor.name != "u2" && anchor.name != "u4"; });
  model.anchors[1].config[1].weight = 2;  // now layer 1 has one width among several activation widths, the others have two
  model.safe_anchor = 0;
  ModelData packed = model;
  pack_single_widths(&packed);
  CHECK(packed.weights[0].stored_bits == 8);
  CHECK(packed.weights[1].stored_bits == 2);
  CHECK(packed.weights[2].stored_bits == 8);
  const ModelData read = parse_model(model_bytes(packed), "packed model");
  CHECK(model_sizes(read).weights < model_sizes(model).weights);
  for (const Anchor& anchor : model.anchors)
    for (int l = 0; l < model.network.layer_count(); ++l) {
      const FoldedLayer before = fold_layer(model, anchor.config, l), after = fold_layer(read, anchor.config, l);
      CHECK(before.codes == after.codes);
      CHECK(before.multiplier == after.multiplier);
      CHECK(before.bias == after.bias);
    }
}

TEST_CASE("format/reduce_model: one scale a layer moves no filter by more than half a gain unit, bias and all") {
  ModelData model = sample_model(sample_network());
  std::erase_if(model.anchors, [](const Anchor& anchor) { return anchor.name != "u4"; });
  model.safe_anchor = 0;
  model.weights[2].channel_scale[1] = 1e-7F;  // beyond the gains' reach: this layer stays
  ModelData shared = model;
  share_scales(&shared);
  CHECK(shared.weights[2].form.granularity == Granularity::kChannel);
  CHECK(shared.anchors[0].layers[2] == model.anchors[0].layers[2]);
  const ModelData read = parse_model(model_bytes(shared), "shared model");
  CHECK(model_sizes(read).scales < model_sizes(model).scales);
  for (const int l : {0, 1}) {
    CHECK(read.weights[static_cast<std::size_t>(l)].form.granularity == Granularity::kTensor);
    const FoldedLayer before = fold_layer(model, model.anchors[0].config, l), after = fold_layer(read, read.anchors[0].config, l);
    CHECK(before.codes == after.codes);
    REQUIRE(before.bias.size() == after.bias.size());
    for (std::size_t o = 0; o < before.bias.size(); ++o) {
      constexpr double kHalfUnit = 0.0055;  // 2^(1/128) - 1, and a little for the rounding of the scale to float32
      CHECK(after.multiplier[o] == doctest::Approx(before.multiplier[o]).epsilon(kHalfUnit));
      // Half a unit of the offset may be lost to rounding.
      const double unit = 0.51 * (1 << model.anchors[0].layers[static_cast<std::size_t>(l)].offset_shift) * after.multiplier[o];
      CHECK(std::abs(after.bias[o] * after.multiplier[o] - before.bias[o] * before.multiplier[o]) <= unit);
    }
  }
  ModelData several = sample_model(sample_network());
  share_scales(&several);
  CHECK(several.weights[1].form.granularity == Granularity::kChannel);
}

TEST_CASE("format/reduce_model: filters that no anchor computes leave the file, and the rest folds to the same numbers") {
  ModelData model = sample_model(sample_network());
  ModelData whole = model;
  drop_idle_filters(&whole);  // the uniform anchors compute everything
  CHECK(whole.network == model.network);
  std::erase_if(model.anchors, [](const Anchor& anchor) { return anchor.name != "half8"; });
  model.safe_anchor = 0;
  ModelData smaller = model;
  drop_idle_filters(&smaller);
  const ModelData read = parse_model(model_bytes(smaller), "smaller model");
  CHECK(model_sizes(read).total < model_sizes(model).total);
  const auto layer = [&](const std::string& name) {
    for (int l = 0; l < model.network.layer_count(); ++l)
      if (model.network.layer(l).name == name) return l;
    return -1;
  };
  for (const char* halved : {"block1.conv1", "block2.shortcut", "block2.pointwise", "block3.conv1"})
    CHECK(read.network.layer(layer(halved)).shape.channels * 2 == model.network.layer(layer(halved)).shape.channels);
  // The stem is computed whole, so those that share its filters stay as they are.
  for (const char* kept : {"stem", "block1.conv2", "block2.depthwise", "classifier"})
    CHECK(read.network.layer(layer(kept)).shape == model.network.layer(layer(kept)).shape);
  for (int l = 0; l < model.network.layer_count(); ++l) {
    const FoldedLayer before = fold_layer(model, model.anchors[0].config, l), after = fold_layer(read, read.anchors[0].config, l);
    CHECK(before.codes == after.codes);
    CHECK(before.multiplier == after.multiplier);
    CHECK(before.bias == after.bias);
    CHECK(before.active_in == after.active_in);
  }
}
