#include "runtime/commands/inspect.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/core/cost.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/format/model_file.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::sample_model;
using bitpilot::testing::sample_network;
namespace fs = std::filesystem;

namespace {

struct Scratch {
  fs::path path;
  Scratch() {
    std::string name = (fs::temp_directory_path() / "bitpilot_inspect_XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Scratch() { fs::remove_all(path); }
  std::string operator/(const char* name) const { return (path / name).string(); }
};

ExitCode code_of(const std::vector<std::string>& args) {
  try {
    return static_cast<ExitCode>(run_inspect(args));
  } catch (const Error& error) {
    return error.code;
  }
}

}  // namespace

TEST_CASE("commands/inspect: the description agrees with network, cost table and file") {
  const ModelData model = sample_model(sample_network());
  const nlohmann::ordered_json json = describe_model(model);
  CHECK(json["network"]["macs"] == model.network.macs());
  REQUIRE(json["network"]["layers"].size() == 8);
  CHECK(json["network"]["layers"][4]["kind"] == "depthwise");
  CHECK(json["network"]["layers"][1]["weights"] == 16 * 16 * 9);
  CHECK(json["network"]["layers"][1]["weight_bits"] == std::vector<int>{2, 4, 8});
  bitpilot::testing::SampleOptions options;
  options.bits = {2};
  options.packed = true;
  ModelData packed = sample_model(sample_network(), options);
  packed.space.layers[1].bits = {2, 8};  // of values: weights have one width
  const nlohmann::ordered_json layer = describe_model(packed)["network"]["layers"][1];
  CHECK(layer["weight_bits"] == std::vector<int>{2});
  CHECK(layer["bits"] == std::vector<int>{2, 8});
  CHECK(json["sizes"]["total"] == model_bytes(model).size());
  REQUIRE(json["anchors"].size() == 4);
  CHECK(json["anchors"][2]["relative"] == doctest::Approx(1.0));
  const CostTable table = bops_table(model.network, model.space);
  CHECK(json["anchors"][3]["bops"] == table.cost(model.anchors[3].config));
  CHECK(json["anchors"][0]["bits"].size() == 6);  // without stem and classifier
  CHECK(json["anchors"][2]["safe"] == true);
  CHECK(json["budget"][1]["relative"] == 0.3);
  CHECK(json["provenance"]["recipe"] == "sample");
}

TEST_CASE("commands/inspect: takes a model file or a run's folder and writes JSON where it is told") {
  const Scratch scratch;
  const ModelData model = sample_model(sample_network());
  fs::create_directory(scratch / "run");
  write_model(model, scratch / "run/model.safetensors");
  for (const std::string& file : {scratch / "run", scratch / "run/model.safetensors"}) {
    CHECK(code_of({file, "--json", scratch / "out.json"}) == ExitCode::kOk);
    CHECK(nlohmann::ordered_json::parse(read_file(scratch / "out.json")) == describe_model(model));
  }
}

TEST_CASE("commands/inspect: wrong files are bad data, wrong flags wrong usage") {
  const Scratch scratch;
  write_file_atomically(scratch / "text", "hello");
  CHECK(code_of({scratch / "none"}) == ExitCode::kData);
  CHECK(code_of({scratch / "text"}) == ExitCode::kData);
  CHECK(code_of({scratch.path.string()}) == ExitCode::kData);  // a folder without a model
  CHECK(code_of({}) == ExitCode::kUsage);
  CHECK(code_of({scratch / "text", "--jsn", "x"}) == ExitCode::kUsage);
  write_model(sample_model(sample_network()), scratch / "model");
  CHECK(code_of({scratch / "model", "--json", scratch / "none/out.json"}) == ExitCode::kMachine);
}
