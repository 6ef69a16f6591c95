#include <doctest/doctest.h>

#include <algorithm>
#include <utility>

#include "runtime/core/backbones.h"
#include "runtime/core/random.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/random_weights.h"
#include "runtime/engine/weight_store.h"
#include "runtime/kernels/kernels.h"
#include "tests/support/random_model.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::RandomModel;

namespace {

std::vector<CodeTrace> trace(const ModelData& model, const Kernels& kernels, const std::vector<std::uint8_t>& picture,
                             const BitConfig& config, int threads = 1) {
  return Session(std::make_shared<Model>(model, &kernels), threads).trace(picture, config);
}

/// Class scores of the ordinary way, which need not keep every value.
std::vector<float> scores(const ModelData& model, const Kernels& kernels, const std::vector<std::uint8_t>& picture,
                          const BitConfig& config) {
  Session session(std::make_shared<Model>(model, &kernels));
  session.start(picture);
  const std::span<const float> result = session.look(config);
  return {result.begin(), result.end()};
}

void check_equal(const std::vector<CodeTrace>& got, const std::vector<CodeTrace>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) REQUIRE(got[i].codes == expected[i].codes);
}

void check_every_set(const ModelData& model, const std::vector<std::uint8_t>& picture, const BitConfig& config) {
  const std::vector<CodeTrace> expected = trace(model, kScalarKernels, picture, config);
  const std::vector<float> expected_scores = scores(model, kScalarKernels, picture, config);
  for (const Kernels* kernels : all_kernels()) {
    if (!kernels->supported()) continue;
    INFO(std::string(kernels->name));
    check_equal(trace(model, *kernels, picture, config), expected);
    REQUIRE(scores(model, *kernels, picture, config) == expected_scores);
    INFO("the last packings that it can use, where it would take the first");
    Session last(std::make_shared<Model>(model, kernels, KernelChoice(kMaxPackings)));
    check_equal(last.trace(picture, config), expected);
  }
}

}  // namespace

TEST_CASE("engine: every set of kernels and every packing store the same codes at every node of any network") {
  for (std::uint64_t seed = 500; seed < 620; ++seed) {
    INFO("seed ", seed);
    RandomModel random(seed, {.large_zero_points = seed % 3 == 0, .plain_forms = seed % 2 == 0});
    check_every_set(random.model(), random.picture(), random.config());
  }
}

TEST_CASE("engine: the backbones' shapes store the same codes on every set of kernels") {
  const std::pair<const char*, Shape> nets[] = {
      {"resnet8", {3, 32, 32}}, {"mobilenet_v2", {3, 48, 64}}, {"resnet18", {3, 64, 48}}, {"ds_cnn", {1, 28, 28}}};
  for (const auto& [name, input] : nets) {
    INFO(std::string(name));
    const ModelData model = random_weights(make_backbone(name, input, 10, /*width=*/16));
    std::vector<std::uint8_t> picture;
    for (int i = 0; i < input.channels * input.height * input.width; ++i)
      picture.push_back(static_cast<std::uint8_t>(i * 37 + i / 100));
    for (const Anchor& anchor : model.anchors) check_every_set(model, picture, anchor.config);
  }
}

TEST_CASE("engine: random weights keep a picture alive down to the scores of the deepest backbone") {
  for (const auto& [name, input] : {std::pair<const char*, Shape>{"resnet20", {3, 32, 32}}, {"resnet18", {3, 64, 64}}, {"mobilenet_v2", {3, 96, 96}}}) {
    INFO(std::string(name));
    const ModelData model = random_weights(make_backbone(name, input, 10));
    std::vector<std::uint8_t> picture(static_cast<std::size_t>(input.channels * input.height * input.width)), other = picture;
    Random random(3, "pictures");
    for (std::uint8_t& code : picture) code = static_cast<std::uint8_t>(random.below(256));
    for (std::uint8_t& code : other) code = static_cast<std::uint8_t>(random.below(256));
    const BitConfig& config = model.anchors.front().config;
    for (const CodeTrace& node : trace(model, active_kernels(), picture, config)) {
      std::vector<std::size_t> counts(256);
      for (const std::uint8_t code : node.codes) ++counts[code];
      INFO("step ", node.step, ", reader ", node.reader);
      CHECK(*std::max_element(counts.begin(), counts.end()) < node.codes.size() * 9 / 10);  // half of them may stand at a ReLU's zero
    }
    CHECK(scores(model, active_kernels(), picture, config) != scores(model, active_kernels(), other, config));
  }
}

TEST_CASE("engine: a convolution and a depthwise one in turns give the scores of whole layers") {
  for (const int stride : {1, 2}) {
    // 72 channels of 96 x 100 pixels do not fit the cache, so that they come by a few at a time.
    Network network;
    network.name = "inverted residual";
    int x = network.relu(network.conv("stem", network.input({3, 96, 100}), 16, 3));
    x = network.relu(network.conv("expand", x, 72, 1));
    x = network.relu(network.conv("depthwise", x, 72, 3, stride, 72));
    x = network.relu(network.conv("project", x, 16, 3, 2));
    network.linear("classifier", network.global_avg_pool(x), 10);
    network.finish();
    ModelData model = random_weights(network);
    Random random(11, "offsets");
    for (Anchor& anchor : model.anchors)
      for (std::size_t l = 1; l + 1 < anchor.layers.size(); ++l)
        for (std::int16_t& offset : anchor.layers[l].offset) offset = static_cast<std::int16_t>(random.below(400));
    std::vector<std::uint8_t> picture;
    for (int i = 0; i < 3 * 96 * 100; ++i) picture.push_back(static_cast<std::uint8_t>(i * 41 + i / 77));
    for (const Anchor& anchor : model.anchors) {
      const std::vector<float> expected = scores(model, kScalarKernels, picture, anchor.config);
      CHECK(expected[0] != expected[1]);
      const std::vector<CodeTrace> every_value = trace(model, kScalarKernels, picture, anchor.config);
      for (const Kernels* kernels : all_kernels()) {
        if (!kernels->supported()) continue;
        INFO(std::string(kernels->name), ", ", anchor.name, ", stride ", stride);
        CHECK((scores(model, *kernels, picture, anchor.config) == expected));
        check_equal(trace(model, *kernels, picture, anchor.config), every_value);
      }
    }
  }
}

TEST_CASE("engine: packed weights of a fully connected layer give the same scores, whatever ran before") {
  Network network;
  network.name = "two fully connected layers";
  const int stem = network.relu(network.conv("stem", network.input({1, 12, 12}), 8, 3));
  const int vector = network.global_avg_pool(network.relu(network.conv("conv", stem, 40, 3)));
  network.linear("classifier", network.relu(network.linear("hidden", vector, 24)), 5);
  network.finish();
  const ModelData model = testing::sample_model(network);
  std::vector<std::uint8_t> picture;
  for (int i = 0; i < 12 * 12; ++i) picture.push_back(static_cast<std::uint8_t>(i * 41 + i / 77));
  std::vector<BitConfig> configs;
  for (const int bits : {2, 3, 4})
    for (const double width : {1.0, 0.5}) configs.push_back(uniform_config(model.space, bits, 8, width));
  for (const Kernels* kernels : all_kernels()) {
    if (!kernels->supported()) continue;
    const auto packed = std::make_shared<Model>(model, kernels, KernelChoice(kMaxPackings));
    Session session(packed);
    session.start(picture);
    for (const BitConfig& config : configs) {
      INFO(std::string(kernels->name), ", ", to_string(config, model.space));
      CHECK(packed->packings(2, config[2]).back().format ==
            (config[2].weight == 2 ? Packing::Format::kInt2 : Packing::Format::kInt4));
      const std::span<const float> got = session.look(config);
      CHECK(std::vector<float>(got.begin(), got.end()) == scores(model, kScalarKernels, picture, config));
    }
  }
}

TEST_CASE("engine: any number of threads stores the same codes") {
  for (const auto& [name, input] : {std::pair<const char*, Shape>{"resnet18", {3, 64, 64}}, {"ds_cnn", {1, 60, 60}}}) {
    const ModelData model = random_weights(make_backbone(name, input, 10));
    std::vector<std::uint8_t> picture(static_cast<std::size_t>(input.channels * input.height * input.width), 99);
    for (std::size_t i = 0; i < picture.size(); i += 3) picture[i] = static_cast<std::uint8_t>(i);
    const BitConfig& config = model.anchors.front().config;
    const std::vector<CodeTrace> expected = trace(model, active_kernels(), picture, config);
    for (const int threads : {2, 3, 5})
      for (int again = 0; again < 3; ++again)
        check_equal(trace(model, active_kernels(), picture, config, threads), expected);
  }
}
