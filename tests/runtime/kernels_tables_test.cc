#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "runtime/core/backbones.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/random_weights.h"
#include "runtime/engine/weight_store.h"
#include "runtime/kernels/kernels.h"

using namespace bitpilot;

namespace {

/// How many of the packings that a set offers for a layer use product tables.
int table_packings(const Kernels& kernels, const ConvShape& shape) {
  Packing legal[kMaxPackings];
  const int count = kernels.packings(shape, legal);
  return static_cast<int>(std::count_if(
      legal, legal + count, [](const Packing& packing) { return packing.format == Packing::Format::kTables; }));
}

ConvShape two_bits(int in, int out, int code_bound) {
  ConvShape shape;
  shape.lowest = -2;
  shape.highest = 1;
  shape.code_bound = code_bound;
  shape.in = in;
  shape.out = shape.active_out = out;
  shape.kernel = 3;
  shape.width = shape.height = 14;
  return shape;
}

}  // namespace

TEST_CASE(
    "kernels: product tables are offered for 2-bit weights and codes of 2 or 3 bits whose sums fit, by sets with byte "
    "shuffles") {
  for (const Kernels* kernels : all_kernels()) {
    INFO(std::string(kernels->name));
    const std::string name = kernels->name;
    const bool shuffles = name == "avx2" || name == "avxvnni" || name == "avx512vbmi";
    CHECK((kernels->pair != nullptr) == shuffles);
    CHECK((table_packings(*kernels, two_bits(128, 128, 3)) > 0) == shuffles);
    CHECK((table_packings(*kernels, two_bits(128, 128, 7)) > 0) == shuffles);
    CHECK(table_packings(*kernels, two_bits(128, 128, 15)) == 0);
    CHECK((table_packings(*kernels, two_bits(606, 128, 3)) > 0) == shuffles);
    CHECK(table_packings(*kernels, two_bits(607, 128, 3)) == 0);
    CHECK(table_packings(*kernels, two_bits(261, 128, 7)) == 0);
    ConvShape shape = two_bits(128, 128, 3);
    shape.highest = 3;
    CHECK(table_packings(*kernels, shape) == 0);
    shape.lowest = -3, shape.highest = 1;
    CHECK(table_packings(*kernels, shape) == 0);
    shape = two_bits(128, 128, 3);
    shape.depthwise = true;
    CHECK(table_packings(*kernels, shape) == 0);
  }
}

TEST_CASE("engine: a layer of which few filters are computed is not given kernels that fill a vector with others") {
  if (!kAvx512VbmiKernels.supported()) return;
  const auto model =
      std::make_shared<const Model>(random_weights(make_backbone("resnet8", {3, 16, 16}, 10, /*width=*/32)), &kAvx512VbmiKernels);
  const int layer = 8;  // block3.conv2: 128 channels to 128 filters, tables for 64 at a time
  const int blocks = model->data().space.layers[layer].blocks;
  REQUIRE(model->data().network.layer(layer).shape.channels == 128);
  const auto first = [&](int active) { return model->packings(layer, {2, 2, active}).front().format; };
  CHECK(first(blocks) == Packing::Format::kTables);
  CHECK(first(blocks / 2) == Packing::Format::kTables);
  CHECK(first(blocks / 4) == Packing::Format::kBytes);
  CHECK(model->packings(layer, {2, 2, blocks / 4}).size() == model->packings(layer, {2, 2, blocks}).size());
}

TEST_CASE("engine: at 2-bit weights every kernel on offer stores the scalar codes, with filters left out too") {
  const Shape input{3, 40, 24};
  const ModelData model = random_weights(make_backbone("resnet8", input, 10, /*width=*/32));
  std::vector<std::uint8_t> picture;
  for (int i = 0; i < input.channels * input.height * input.width; ++i)
    picture.push_back(static_cast<std::uint8_t>(i * 37 + i / 100));
  for (const int activation : {2, 3})
    for (const double width : {1.0, 0.5}) {
      const BitConfig config = uniform_config(model.space, 2, activation, width);
      const std::vector<CodeTrace> expected =
          Session(std::make_shared<const Model>(model, &kScalarKernels)).trace(picture, config);
      for (const Kernels* kernels : all_kernels()) {
        if (!kernels->supported()) continue;
        for (int place = 0; place < kMaxPackings; ++place) {
          INFO(std::string(kernels->name), ", place ", place, ", codes of ", activation, " bits, width ", width);
          Session session(std::make_shared<const Model>(model, kernels, KernelChoice(place)));
          const std::vector<CodeTrace> got = session.trace(picture, config);
          REQUIRE(got.size() == expected.size());
          for (std::size_t i = 0; i < got.size(); ++i) REQUIRE((got[i].codes == expected[i].codes));
        }
      }
    }
}
