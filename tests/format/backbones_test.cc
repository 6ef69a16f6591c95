#include "runtime/core/backbones.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "runtime/core/cost.h"
#include "runtime/core/error.h"
#include "runtime/core/fusion.h"
#include "runtime/format/model_file.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;

namespace {

double giga_bops(const Network& network, int bits) {
  const BitSpace space = make_bit_space(network, {2, 3, 4, 8});
  return bops_table(network, space).cost(uniform_config(space, bits, bits)) / 1e9;
}

std::int64_t parameters(const Network& network) {
  std::int64_t count = 0;
  for (int l = 0; l < network.layer_count(); ++l) count += network.weight_count(l);
  return count;
}

}  // namespace

TEST_CASE("core/backbones: ResNet-18 at 224 pixels has the published MACs and BOPs") {
  const Network network = resnet18({3, 224, 224}, 1000);
  CHECK(network.macs() == 1814073344);
  CHECK(network.macs(0) == 118013952);
  CHECK(network.macs(network.layer_count() - 1) == 512000);
  CHECK(float_bops(network) / 1e9 == doctest::Approx(1857.6).epsilon(0.0001));
  CHECK(giga_bops(network, 4) == doctest::Approx(34.71).epsilon(0.0005));
  CHECK(giga_bops(network, 3) == doctest::Approx(22.84).epsilon(0.0005));
  CHECK(giga_bops(network, 2) == doctest::Approx(14.37).epsilon(0.0005));
}

TEST_CASE("core/backbones: MobileNetV2 at 224 pixels has the published MACs") {
  const Network network = mobilenet_v2({3, 224, 224}, 1000);
  CHECK(network.macs() / 1e6 == doctest::Approx(300.8).epsilon(0.0005));
  CHECK(float_bops(network) / 1e9 == doctest::Approx(308.0).epsilon(0.0005));
}

TEST_CASE("core/backbones: the small nets have the size that they are named for") {
  CHECK(resnet8({1, 28, 28}, 10).macs() == 9345920);
  CHECK(resnet8({1, 28, 28}, 10, 8).macs() / 1e6 == doctest::Approx(2.36).epsilon(0.005));
  CHECK(resnet8({1, 28, 28}, 10, 12).macs() / 1e6 == doctest::Approx(5.28).epsilon(0.005));
  CHECK(resnet8({1, 28, 28}, 10).layer_count() == 10);
  CHECK(resnet20({3, 32, 32}, 10).layer_count() == 22);  // 20 and the two projections
  CHECK(ds_cnn({1, 28, 28}, 10).macs() == 1156256);
  CHECK(parameters(person_net({3, 96, 96}, 2)) <= 280000);
}

TEST_CASE("core/backbones: every backbone can be fused at small and large inputs and survives JSON") {
  for (const std::string& name : backbone_names())
    for (const Shape& shape : {Shape{1, 28, 28}, Shape{3, 32, 32}, Shape{3, 96, 96}}) {
      CAPTURE(name);
      const Network network = make_backbone(name, shape, 7);
      CHECK(network.name == name);
      CHECK(network.classes() == 7);
      CHECK(fuse(network).size() == static_cast<std::size_t>(network.layer_count()));
      CHECK(network_from_json(network_to_json(network)) == network);
    }
}

TEST_CASE("core/backbones: shortcuts tie the filters of a residual stage") {
  const Network network = resnet8({1, 28, 28}, 10);
  // stem, block1.conv1, conv2, block2.shortcut, conv1, conv2, block3.shortcut, conv1, conv2, classifier
  CHECK(network.width_groups() == std::vector<int>{0, 1, 0, 2, 3, 2, 4, 5, 4, 6});
  CHECK(network.layer(3).name == "block2.shortcut");
  CHECK(network.layer(5).name == "block2.conv2");
}

TEST_CASE("core/backbones: an Add that is followed by ReLU is residual, a bottleneck's is linear") {
  for (const FusedStep& step : fuse(ds_cnn({1, 28, 28}, 10))) CHECK((step.relu || step.readers.empty()));
  int linear_adds = 0;
  for (const FusedStep& step : fuse(mobilenet_v2({3, 96, 96}, 10))) linear_adds += step.add_node >= 0 && !step.relu;
  CHECK(linear_adds == 10);
  int residual = 0;
  for (const FusedStep& step : fuse(ds_cnn({1, 28, 28}, 10))) residual += step.add_node >= 0;
  CHECK(residual == 3);
}

TEST_CASE("core/backbones: an unknown name is answered with the nearest") {
  try {
    make_backbone("resnet9", {1, 28, 28}, 10);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kData);
    CHECK(std::string(error.what()).find("resnet8") != std::string::npos);
  }
  CHECK_THROWS_AS(make_backbone("resnet8", {1, 28, 28}, 10, -4), Error);
}

TEST_CASE("core/backbones: weights, scales and calibration of eight anchors stay near plain 8 bit: a tenth, ResNet-18 a twentieth") {
  const std::pair<Network, double> allowed[] = {
      {resnet8({1, 28, 28}, 10), 1.10}, {resnet20({3, 32, 32}, 10), 1.10}, {resnet18({3, 224, 224}, 1000), 1.05}, {mobilenet_v2({3, 224, 224}, 1000), 1.10}};
  for (const auto& [network, most] : allowed) {
    bitpilot::testing::SampleOptions options;
    options.bits = {2, 3, 4, 5, 6, 7, 8};
    ModelData model = bitpilot::testing::sample_model(network, options);
    REQUIRE(model.anchors.size() == 8);
    for (Anchor& anchor : model.anchors)  // no anchor may leave its gains out
      for (std::size_t l = 1; l < anchor.layers.size(); ++l) anchor.layers[l].channel_gain[0] = 1;
    const ModelSizes sizes = model_sizes(model);
    const double ratio = static_cast<double>(sizes.weights + sizes.scales + sizes.calibration) / static_cast<double>(sizes.plain_8bit);
    CAPTURE(network.name);
    CHECK(ratio <= most);
  }
}
