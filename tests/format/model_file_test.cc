#include "runtime/format/model_file.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/format/safetensors.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::sample_model;
using bitpilot::testing::sample_network;
using bitpilot::testing::SampleOptions;

namespace {

void check_equal(const ModelData& a, const ModelData& b) {
  CHECK(a.network == b.network);
  CHECK(a.space == b.space);
  CHECK(a.preprocessing.stretch == b.preprocessing.stretch);
  CHECK(a.labels == b.labels);
  REQUIRE(a.weights.size() == b.weights.size());
  for (std::size_t l = 0; l < a.weights.size(); ++l) {
    CHECK(a.weights[l].form == b.weights[l].form);
    CHECK(a.weights[l].stored_bits == b.weights[l].stored_bits);
    CHECK(a.weights[l].zero_point == b.weights[l].zero_point);
    CHECK(a.weights[l].codes == b.weights[l].codes);
    CHECK(a.weights[l].channel_scale == b.weights[l].channel_scale);
  }
  CHECK(a.carries == b.carries);
  REQUIRE(a.anchors.size() == b.anchors.size());
  for (std::size_t i = 0; i < a.anchors.size(); ++i) {
    CHECK(a.anchors[i].name == b.anchors[i].name);
    CHECK(a.anchors[i].config == b.anchors[i].config);
    CHECK(a.anchors[i].layers == b.anchors[i].layers);
    CHECK(a.anchors[i].temperature == b.anchors[i].temperature);
  }
  CHECK(a.safe_anchor == b.safe_anchor);
  CHECK(a.policy.description == b.policy.description);
  REQUIRE(a.policy.tensors.size() == b.policy.tensors.size());
  for (const auto& [name, tensor] : a.policy.tensors) {
    CHECK(b.policy.tensors.at(name).dtype == tensor.dtype);
    CHECK(b.policy.tensors.at(name).shape == tensor.shape);
    CHECK(b.policy.tensors.at(name).bytes == tensor.bytes);
  }
  REQUIRE(a.budget.size() == b.budget.size());
  for (std::size_t i = 0; i < a.budget.size(); ++i) {
    CHECK(a.budget[i].lambda == b.budget[i].lambda);
    CHECK(a.budget[i].relative == b.budget[i].relative);
  }
  CHECK(a.default_lambda == b.default_lambda);
  CHECK(a.statistics == b.statistics);
  CHECK(a.ranges == b.ranges);
  CHECK(a.provenance == b.provenance);
}

}  // namespace

TEST_CASE("format/model_file: every model comes back exactly, floats too") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed)
    for (const Symmetry symmetry :
         {Symmetry::kSymmetric, Symmetry::kAsymmetric, Symmetry::kNoZero, Symmetry::kBinMiddle})
      for (const Granularity granularity : {Granularity::kTensor, Granularity::kChannel}) {
        SampleOptions options;
        options.seed = seed;
        options.form = {granularity, symmetry};
        options.policy = seed % 2 == 0;
        options.gains = seed % 3 == 0;
        const ModelData model = sample_model(sample_network(), options);
        const std::string bytes = model_bytes(model);
        check_equal(parse_model(bytes, "memory"), model);
        CHECK(model_bytes(parse_model(bytes, "memory")) == bytes);
      }
}

TEST_CASE("format/model_file: layers of a single width are stored packed") {
  for (int bits = 2; bits <= 7; ++bits)
    for (const Symmetry symmetry : {Symmetry::kSymmetric, Symmetry::kNoZero}) {
      SampleOptions options;
      options.bits = {bits};
      options.packed = true;
      options.form.symmetry = symmetry;
      const ModelData model = sample_model(sample_network(), options);
      const std::string bytes = model_bytes(model);
      check_equal(parse_model(bytes, "memory"), model);
      const SafeTensors file = parse_safetensors(bytes, "memory");
      CHECK(file.tensors.at("layers.block1.conv1.codes").dtype == "U8");
      CHECK(file.tensors.at("layers.block1.conv1.codes").bytes.size() ==
            static_cast<std::size_t>(16 * 16 * 9 * bits / 8));
      CHECK(file.tensors.at("layers.stem.codes").dtype == "I8");
    }
}

TEST_CASE("format/model_file: tensors have the names and shapes that other programs see") {
  const SafeTensors file = parse_safetensors(model_bytes(sample_model(sample_network())), "memory");
  CHECK(file.tensors.at("layers.block2.depthwise.codes").shape == std::vector<std::int64_t>{16, 1, 3, 3});
  CHECK(file.tensors.at("layers.classifier.codes").shape == std::vector<std::int64_t>{5, 32});
  CHECK(file.tensors.at("layers.stem.scale").dtype == "F32");
  CHECK(file.tensors.at("anchors.u4.offset").dtype == "I16");
  CHECK(file.tensors.at("anchors.u4.gain").dtype == "I8");
  CHECK(file.tensors.count("anchors.u2.gain") == 0);  // all zero: left out
  CHECK(file.tensors.at("policy.hidden.bias").dtype == "I32");
  CHECK(file.metadata.size() == 1);
  CHECK(nlohmann::json::parse(file.metadata.at("bitpilot")).at("format") == kModelFormatVersion);
}

TEST_CASE("format/model_file: a file is written whole and read back; a missing or foreign one is named") {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("bitpilot_model_" + std::to_string(::getpid()))).string();
  const ModelData model = sample_model(sample_network());
  write_model(model, path);
  check_equal(read_model(path), model);
  write_file_atomically(path, safetensors_bytes({{"format", "pt"}}, {}));
  try {
    read_model(path);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kData);
    CHECK(std::string(error.what()).find("no bitpilot model") != std::string::npos);
    CHECK(std::string(error.what()).find(path) != std::string::npos);
  }
  std::filesystem::remove(path);
  CHECK_THROWS_AS(read_model(path), Error);
}

TEST_CASE("format/model_file: sizes by part sum up to the file, plain 8 bit is what it is compared with") {
  const ModelData model = sample_model(sample_network());
  const ModelSizes sizes = model_sizes(model);
  CHECK(sizes.total == model_bytes(model).size());
  CHECK(sizes.weights + sizes.scales + sizes.calibration + sizes.policy + sizes.header == sizes.total);
  std::size_t weights = 0, filters = 0;
  for (int l = 0; l < model.network.layer_count(); ++l) {
    weights += static_cast<std::size_t>(model.network.weight_count(l));
    filters += static_cast<std::size_t>(model.network.layer(l).shape.channels);
  }
  CHECK(sizes.weights == weights);
  CHECK(sizes.scales == 4 * filters);
  CHECK(sizes.calibration == 2 * filters * model.anchors.size() + filters);  // one anchor has gains
  CHECK(sizes.plain_8bit == weights + 8 * filters);
  CHECK(sizes.policy == 14 + model.policy.description.size());
}

TEST_CASE("format/model_file: a model that breaks a rule is not written") {
  const auto breaks = [](auto mutate) {
    ModelData model = sample_model(sample_network());
    mutate(model);
    try {
      model_bytes(model);
    } catch (const Error& error) {
      return error.code == ExitCode::kData;
    }
    return false;
  };
  CHECK_FALSE(breaks([](ModelData&) {}));
  CHECK(breaks([](ModelData& m) { m.anchors.clear(); }));
  CHECK(breaks([](ModelData& m) { m.anchors.resize(17, m.anchors[0]); }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].name = m.anchors[0].name; }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].name = ""; }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].layers[0].gain *= 2; }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].layers[2].input_step = 0; }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].layers[2].input_step = -1; }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].layers[2].input_step = NAN; }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].layers[2].gain = INFINITY; }));
  CHECK(breaks([](ModelData& m) { m.anchors[0].layers[2].input_zero_point = 4; }));  // 2 bits: 0..3
  CHECK(breaks([](ModelData& m) { m.anchors[1].layers[2].offset_shift = 25; }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].layers[2].offset.pop_back(); }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].layers[2].channel_gain.push_back(0); }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].temperature = 0; }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].config[2].weight = 9; }));
  CHECK(breaks([](ModelData& m) { m.anchors[1].config[2].active_blocks = 1; }));  // unequal within its width group
  CHECK(breaks([](ModelData& m) { m.anchors[1].config.pop_back(); }));
  CHECK(breaks([](ModelData& m) { m.carries[0].step = 0; }));
  CHECK(breaks([](ModelData& m) { m.carries[0].zero_point = 256; }));
  CHECK(breaks([](ModelData& m) { m.carries.pop_back(); }));
  CHECK(breaks([](ModelData& m) { m.weights[1].codes.pop_back(); }));
  CHECK(breaks([](ModelData& m) { m.weights[1].channel_scale[3] = NAN; }));
  CHECK(breaks([](ModelData& m) { m.weights[1].zero_point = 1; }));
  CHECK(breaks([](ModelData& m) { m.weights[1].stored_bits = 4; }));
  CHECK(breaks([](ModelData& m) { m.weights[1].form.granularity = Granularity::kTensor; }));
  CHECK(breaks([](ModelData& m) { m.space.layers[1].blocks = 3; }));
  CHECK(breaks([](ModelData& m) { m.space.layers[1].bits = {4, 2}; }));
  CHECK(breaks([](ModelData& m) { m.space.block = 4; }));
  CHECK(breaks([](ModelData& m) { m.labels.pop_back(); }));
  CHECK(breaks([](ModelData& m) { m.labels[0] = "a\nb"; }));
  CHECK(breaks([](ModelData& m) { m.safe_anchor = 4; }));
  CHECK(breaks([](ModelData& m) { m.safe_anchor = -1; }));
  CHECK(breaks([](ModelData& m) { m.budget[1].lambda = 0; }));
  CHECK(breaks([](ModelData& m) { m.budget[1].relative = NAN; }));
  CHECK(breaks([](ModelData& m) { m.default_lambda = -1; }));
  CHECK(breaks([](ModelData& m) { m.ranges.pop_back(); }));
  CHECK(breaks([](ModelData& m) { m.ranges[0] = {2, 1}; }));
  CHECK(breaks([](ModelData& m) { m.policy.description = "{"; }));
  CHECK(breaks([](ModelData& m) { m.policy.description.clear(); }));
  CHECK(breaks([](ModelData& m) { m.policy.tensors["hidden.bias"].shape = {3}; }));
  CHECK(breaks([](ModelData& m) { m.policy.tensors["hidden.bias"].dtype = "F16"; }));
  CHECK(breaks([](ModelData& m) { m.provenance = "not JSON"; }));
}
