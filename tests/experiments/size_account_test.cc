#include "experiments/size_account.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/core/backbones.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using nlohmann::json;

namespace {

// ResNet-8 on 28 x 28 pictures, counted by hand: the stem's 144 and the classifier's 640 weights stand at 8 bits, the others are
// 2 x 2,304 + 4,608 + 9,216 + 512 + 18,432 + 36,864 + 2,048; filters are 3 x 16 + 3 x 32 + 3 x 64 + 10.
constexpr std::int64_t kFixed = 144 + 640, kAdaptive = 76288, kFilters = 346;

ModelData resnet_at_two_bits() {
  bitpilot::testing::SampleOptions options;
  options.bits = {2};
  return bitpilot::testing::sample_model(resnet8({1, 28, 28}, 10, 16), options);
}

void share_scale(LayerWeights* weights) {
  weights->form.granularity = Granularity::kTensor;
  std::fill(weights->channel_scale.begin(), weights->channel_scale.end(), weights->channel_scale.front());
}

}  // namespace

TEST_CASE("experiments/size_account: the weights of a layer take whole bytes") {
  const Network network = resnet8({1, 28, 28}, 10, 16);
  CHECK(weight_bytes(network, 1, 2) == 16 * 16 * 9 / 4);
  CHECK(weight_bytes(resnet8({1, 28, 28}, 5, 1), 0, 3) == 4);  // 9 weights of 3 bits
}

TEST_CASE("experiments/size_account: raw bytes are weights at their bits, scales, biases and gains; float bytes weights and biases") {
  ModelData model = resnet_at_two_bits();
  const BitConfig config = model.anchors.front().config;
  const auto raw = [&] { return account_size(model, config).raw; };
  constexpr std::int64_t kWeights = kFixed + kAdaptive / 4;
  CHECK(kWeights == 19856);

  CHECK(raw() == kWeights + 4 * kFilters + 4 * kFilters);  // a scale and a bias a filter
  CHECK(account_size(model, config).float_raw == 4 * (kFixed + kAdaptive + kFilters));
  share_scale(&model.weights[6]);
  REQUIRE(model.network.layer(6).shape.channels == 64);
  CHECK(raw() == kWeights + 4 * (kFilters - 63) + 4 * kFilters);  // one scale for a layer of 64 filters
  for (LayerWeights& weights : model.weights) share_scale(&weights);
  CHECK(raw() == 19856 + 40 + 1384);
  // One gain other than 0 and the file holds them all.
  model.anchors.front().layers[3].channel_gain[5] = 1;
  const SizeAccount size = account_size(model, config);
  CHECK(size.raw == 21626);
  CHECK(size.float_raw == 309672);
  CHECK(size.ratio() == doctest::Approx(14.319).epsilon(1e-4));
  const json told = size_json(size);
  CHECK(told["raw_bytes"].get<std::int64_t>() == 21626);
  CHECK(told["float_raw_bytes"].get<std::int64_t>() == 309672);
  CHECK(told["times_smaller"].get<double>() == size.ratio());
}

TEST_CASE("experiments/size_account: bits are those of the configuration asked for, not of the file") {
  const ModelData model = resnet_at_two_bits();
  BitConfig config = model.anchors.front().config;
  for (std::size_t l = 1; l + 1 < config.size(); ++l) config[l].weight = 4;
  CHECK(account_size(model, config).raw == kFixed + kAdaptive / 2 + 8 * kFilters);
}
