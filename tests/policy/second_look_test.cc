#include "policy/second_look.h"

#include <doctest/doctest.h>

#include "runtime/core/backbones.h"
#include "runtime/core/cost.h"
#include "runtime/engine/random_weights.h"

using namespace bitpilot;

namespace {

constexpr std::size_t kU8 = 0, kU4 = 1, kU2 = 2, kHalf8 = 3, kHalf2 = 4, kAnchors = 5;  // random_weights()

bool offered(const std::vector<std::uint8_t>& looks, std::size_t first, std::size_t second) {
  return looks[first * kAnchors + second] != 0;
}

}  // namespace

TEST_CASE("policy/second_look: in time, no look is offered that adds nothing or costs what the first one does") {
  const ModelData model = random_weights(resnet8({1, 16, 16}, 10));
  REQUIRE(model.anchors.size() == kAnchors);
  REQUIRE(model.anchors[kHalf2].name == "half2");
  // As on AVX512-VNNI: bits save no time, tables of products cost some at half of the filters.
  const std::vector<float> ms{1.0F, 0.99F, 0.98F, 0.37F, 0.47F};
  const std::vector<std::uint8_t> looks = second_looks(model, ms, "ms");
  CHECK(!offered(looks, kHalf8, kHalf2));  // dearer, but fewer bits and as many filters
  CHECK(!offered(looks, kU2, kU8));        // more bits, but the time of the first look
  CHECK(!offered(looks, kU4, kHalf8));     // cheaper
  CHECK(offered(looks, kHalf8, kU2));      // all filters
  CHECK(offered(looks, kHalf8, kU8));
  CHECK(offered(looks, kHalf2, kU4));
  for (std::size_t k = 0; k < kAnchors; ++k) CHECK(!offered(looks, k, k));
}

TEST_CASE("policy/second_look: in counted operations every dearer anchor is offered") {
  const ModelData model = random_weights(resnet8({1, 16, 16}, 10));
  const CostTable bops = bops_table(model.network, model.space);
  std::vector<float> cost;
  for (const Anchor& anchor : model.anchors) cost.push_back(static_cast<float>(bops.cost(anchor.config) / bops.reference()));
  const std::vector<std::uint8_t> looks = second_looks(model, cost, "bops");
  for (std::size_t a = 0; a < kAnchors; ++a)
    for (std::size_t b = 0; b < kAnchors; ++b) CHECK(offered(looks, a, b) == (cost[b] > cost[a]));
}
