#include <doctest/doctest.h>

#include "runtime/core/files.h"
#include "runtime/format/model_file.h"

using namespace bitpilot;

namespace {

std::string kept(const std::string& name) { return std::string(BITPILOT_SOURCE_DIR) + "/tests/format/data/" + name; }

/// Everything that inference sees of a model, as one digest.
std::string digest(const ModelData& model) {
  std::string all;
  const auto append = [&](const void* data, std::size_t size) { all.append(static_cast<const char*>(data), size); };
  for (const Anchor& anchor : model.anchors)
    for (int l = 0; l < model.network.layer_count(); ++l) {
      const FoldedLayer folded = fold_layer(model, anchor.config, l);
      append(folded.codes.data(), folded.codes.size());
      append(folded.multiplier.data(), folded.multiplier.size() * sizeof(double));
      append(folded.bias.data(), folded.bias.size() * sizeof(std::int32_t));
      append(&folded.input_step, sizeof folded.input_step);
      all += std::to_string(folded.input_zero_point);
    }
  return sha256(all);
}

}  // namespace

TEST_CASE("format/kept_files: a model of format 1 opens for ever and means the same for ever") {
  const std::string path = kept("version_1.safetensors");
  REQUIRE(sha256(read_file(path)) ==
          "a18275407b0477ac08223d0aa5e509ef80f53a3431ea6dffeca540e6272aefb8");  // never edit a kept file
  const ModelData model = read_model(path);
  CHECK(model.network.name == "sample");
  CHECK(model.network.layer_count() == 8);
  CHECK(model.network.macs() == 56280);
  CHECK_FALSE(model.preprocessing.stretch);
  CHECK(model.labels == std::vector<std::string>{"class 0", "class 1", "class 2"});
  REQUIRE(model.anchors.size() == 4);
  CHECK(model.anchors[3].name == "half8");
  CHECK(model.anchors[3].config[3] == LayerBits{8, 8, 1});
  CHECK(model.anchors[0].layers[2].input_zero_point == 2);
  CHECK(model.safe_anchor == 2);
  CHECK(model.policy.tensors.at("hidden.weight").bytes == std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6});
  CHECK(model.budget[1].relative == 0.3);
  CHECK(model.ranges[1] == std::pair{-0.25F, 3.1F});
  CHECK(digest(model) == "761a8151cd397b2bbc0510e2bc58e5352781fde54cd9e6dca6c13ad8117493ba");
}

TEST_CASE("format/kept_files: so does one of packed weights on a grid without zero") {
  const std::string path = kept("version_1_packed.safetensors");
  REQUIRE(sha256(read_file(path)) == "15a17f7259d9668975491c6761277f05aaab3426dc1fce2584bd9c88fef0ef61");
  const ModelData model = read_model(path);
  CHECK(model.weights[1].stored_bits == 3);
  CHECK(model.weights[1].form == Form{Granularity::kTensor, Symmetry::kNoZero});
  CHECK(digest(model) == "b8d8d12df3db8db2fc27b40b91fb6892249df02795f55f3d80453752927ba852");
}
