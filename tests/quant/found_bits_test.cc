#include "quant/found_bits.h"

#include <doctest/doctest.h>

#include "quant/export.h"
#include "quant/integer_evaluation.h"
#include "quant/training_loop.h"
#include "runtime/core/backbones.h"
#include "runtime/core/cost.h"
#include "runtime/core/error.h"
#include "runtime/core/random.h"
#include "runtime/engine/engine.h"
#include "runtime/format/model_file.h"
#include "runtime/format/reduce_model.h"
#include "tests/support/toy_training.h"

using namespace bitpilot;
using bitpilot::testing::toy_pictures;
using torch::Tensor;

namespace {

constexpr int kPictures = 60;

struct Toy {
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {2, 4, 8}, 8);
  TrainingBatch batch = toy_pictures(kPictures, 5);
  QuantizedNetwork trained{network, space, {{"abs", uniform_config(space, 4, 4)}}, /*quantized=*/true, 7};
  BitConfig found = uniform_config(space, 4, 4);
  std::shared_ptr<FoundBits> bits;

  Toy() {
    QuantizedNetwork start(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 3);
    trained.start_from(start, batch.src);
    found[layer("block1.conv1")] = {2, 8, 1};
    found[layer("block2.conv1")] = {4, 2, 2};
    found[layer("block2.shortcut")].activation = 2;
    found[layer("block3.conv1")] = {2, 4, 5};
    found[layer("block3.conv2")].weight = 8;
    bits = std::make_shared<FoundBits>(trained, found);
    bits->fit_steps(&trained);
    trained.set_quantizers(bits);
    TrainingOptions options;
    options.learning_rate = 5e-3;
    TrainingLoop loop(&trained, nullptr, 20, options);
    for (int i = 0; i < 20; ++i) loop.step(batch, {});
  }
  int layer(const std::string& name) const {
    for (int l = 0; l < network.layer_count(); ++l)
      if (network.layer(l).name == name) return l;
    return -1;
  }
  QuantizedNetwork sliced() {
    trained.set_quantizers(nullptr);
    QuantizedNetwork result = trained.with_paths({{"abs", found}});
    trained.set_quantizers(bits);
    return result;
  }
  ModelData exported() {
    QuantizedNetwork network_of_found = sliced();
    const CalibrationBatches batches = [&](const std::function<void(const Tensor&)>& use) { use(batch.src); };
    recalibrate(&network_of_found, batches);
    ModelData model = export_model(&network_of_found, batches);
    model.labels = {"a", "b", "c", "d", "e"};
    return model;
  }
  std::vector<std::uint8_t> pictures() const {
    Random random(1, "pictures");
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(kPictures * 144));
    for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random.below(256));
    return codes;
  }
};

std::vector<std::vector<float>> scores(const ModelData& model, const std::vector<std::uint8_t>& pictures) {
  Session session(std::make_shared<const Model>(model));
  std::vector<std::vector<float>> all;
  for (std::size_t i = 0; i < kPictures; ++i) {
    session.start(std::span(pictures).subspan(i * 144, 144));
    const std::span<const float> of_one = session.look_anchor(0);
    all.emplace_back(of_one.begin(), of_one.end());
  }
  return all;
}

}  // namespace

TEST_CASE("quant/found_bits: masked training computes what the network without the masked filters does") {
  Toy toy;
  QuantizedNetwork sliced = toy.sliced();
  const Tensor masked = evaluate(&toy.trained, 0, toy.batch.src), without = evaluate(&sliced, 0, toy.batch.src);
  // Fused and separate rounding differ where a value stands on the edge of two codes.
  CHECK((masked - without).abs().mean().item<double>() < 0.02 * masked.std().item<double>());
  toy.trained.set_quantizers(nullptr);  // at the path's own bits it is another network
  CHECK((evaluate(&toy.trained, 0, toy.batch.src) - without).abs().mean().item<double>() > 0.1 * masked.std().item<double>());
}

TEST_CASE("quant/found_bits: the sliced model gives the masked one's scores bit for bit, is smaller as a file and computes less") {
  Toy toy;
  const ModelData narrow = toy.exported();  // all filters stored, the first ones computed
  ModelData masked = narrow;                // all filters computed, the idle ones read with weight 0
  for (int l = 0; l < toy.network.layer_count(); ++l) {
    LayerBits& bits = masked.anchors.front().config[l];
    bits.active_blocks = toy.space.layers[l].blocks;
    const int source = toy.network.channel_source(toy.network.layer(l).inputs[0]);
    if (source < 0) continue;
    const int in = toy.network.in_channels(l), active = toy.network.active_in(l, narrow.anchors.front().config, toy.space);
    const int taps = toy.network.layer(l).kernel * toy.network.layer(l).kernel;
    std::vector<std::int8_t>& codes = masked.weights[l].codes;
    for (std::size_t i = 0; i < codes.size(); ++i)
      if (static_cast<int>(i) / taps % in >= active) codes[i] = 0;
  }
  ModelData sliced = narrow;
  drop_idle_filters(&sliced);
  const std::vector<std::uint8_t> pictures = toy.pictures();
  const auto of_masked = scores(masked, pictures);
  CHECK((scores(narrow, pictures) == of_masked));
  CHECK((scores(sliced, pictures) == of_masked));
  CHECK((evaluate_integer(sliced, sliced.anchors.front().config, pictures, /*with_traces=*/false).scores == of_masked));
  // The comparison would notice a filter too few.
  ModelData fewer = narrow;
  fewer.anchors.front().config[toy.layer("block3.conv1")].active_blocks -= 1;
  CHECK_FALSE((scores(fewer, pictures) == of_masked));

  CHECK(sliced.network.layer(toy.layer("block1.conv1")).shape.channels == 8);
  CHECK(sliced.network.layer(toy.layer("block3.conv1")).shape.channels == 40);
  CHECK(sliced.network.macs() < toy.network.macs());
  CHECK(model_sizes(sliced).total < model_sizes(narrow).total);
  const CostTable whole = bops_table(toy.network, toy.space), smaller = bops_table(sliced.network, sliced.space);
  CHECK(smaller.cost(sliced.anchors.front().config) == doctest::Approx(whole.cost(toy.found)).epsilon(1e-12));
  // Packing and slicing do not mind each other.
  ModelData packed = sliced;
  pack_single_widths(&packed);
  CHECK((scores(packed, pictures) == of_masked));
  CHECK(model_sizes(packed).total < model_sizes(sliced).total);
}

TEST_CASE("quant/found_bits: a checkpoint's tensor brings the configuration back, impossible ones are refused") {
  Toy toy;
  FoundBits other(toy.trained, uniform_config(toy.space, 8, 8));
  other.state().front().second.copy_(toy.bits->state().front().second);
  CHECK((other.config() == toy.found));
  BitConfig shared = toy.found;
  for (const char* name : {"block1.conv2"}) shared[toy.layer(name)].active_blocks = 1;
  CHECK_THROWS_AS(FoundBits(toy.trained, shared), Error);
  BitConfig torn = toy.found;
  torn[toy.layer("block2.shortcut")].activation = 8;  // block2.conv1 reads the same value at 2
  CHECK_THROWS_WITH_AS(FoundBits(toy.trained, torn), doctest::Contains("two bit-widths"), Error);
}
