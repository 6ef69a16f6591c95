#include <doctest/doctest.h>

#include <functional>

#include "runtime/core/files.h"
#include "tests/support/json_schema.h"

using bitpilot::testing::JsonSchema;
using nlohmann::json;

namespace {

const JsonSchema& schema() {
  static const JsonSchema schema(
      json::parse(bitpilot::read_file(BITPILOT_SOURCE_DIR "/runtime/format/decision.schema.json")));
  return schema;
}

json sound_decision() {
  return json::parse(R"({"schema":"bitpilot.decision/1","sequence":17,"source":"rtsp://camera/1","region":null,
    "time":"2026-01-02T03:04:05.678Z","age_ms":31.5,"model":"sha256:)" +
                     std::string(64, 'a') + R"(","isa":"avx2","lambda":0.31,"fallback":null,"dropped_before":0,
    "quality":{"score":0.41,"features":{"sharpness":1.5,"noise_sigma":-0.1}},
    "layers":[{"name":"block1.conv1","weight_bits":3,"activation_bits":4,"active_blocks":2,
      "weight_distribution":{"family":"logistic","mean":3.2,"std":0.5},
      "activation_distribution":{"family":"logistic","mean":4,"std":0}}],
    "looks":[{"config":"u2","bits":[[2,2,1]],"relative":0.07,"confidence":0.48,"index":7},
             {"config":"u4","bits":[[3,4,2]],"relative":0.13,"confidence":0.93,"index":9}],
    "cost":{"bops":61234567,"relative":0.2,"policy_bops":123456},
    "prediction":{"label":"ankle boot","index":9,"confidence":0.93},
    "timing_ms":{"decode":0.1,"preprocess":0.2,"policy":0.01,"backbone":0.05,"total":0.4}})");
}

}  // namespace

TEST_CASE("format/decision_schema: decisions and summaries as documented fit") {
  CHECK(schema().problem(sound_decision()) == "");
  json region = sound_decision();
  region["region"] = {10, 20, 96, 96};
  region["fallback"] = "out_of_range";
  CHECK(schema().problem(region) == "");
  CHECK(schema().problem(json::parse(
            R"({"schema":"bitpilot.summary/1","received":9,"processed":7,"queued":0,"dropped":{"queue":2}})")) == "");
}

TEST_CASE("format/decision_schema: whatever differs from the documentation does not fit") {
  const std::vector<std::pair<const char*, std::function<void(json&)>>> mutations{
      {"other schema", [](json& j) { j["schema"] = "bitpilot.decision/2"; }},
      {"member missing", [](json& j) { j.erase("looks"); }},
      {"member unknown", [](json& j) { j["secret"] = 1; }},
      {"negative sequence", [](json& j) { j["sequence"] = -1; }},
      {"fractional sequence", [](json& j) { j["sequence"] = 1.5; }},
      {"region of three",
       [](json& j) {
         j["region"] = {1, 2, 3};
       }},
      {"local time", [](json& j) { j["time"] = "2026-01-02 03:04:05"; }},
      {"other hash", [](json& j) { j["model"] = "md5:1"; }},
      {"unknown fallback", [](json& j) { j["fallback"] = "tired"; }},
      {"1 bit", [](json& j) { j["layers"][0]["weight_bits"] = 1; }},
      {"9 bits", [](json& j) { j["layers"][0]["activation_bits"] = 9; }},
      {"no active block", [](json& j) { j["looks"][0]["bits"][0][2] = 0; }},
      {"no look", [](json& j) { j["looks"] = json::array(); }},
      {"NaN as null", [](json& j) { j["prediction"]["confidence"] = nullptr; }},
      {"confidence above 1", [](json& j) { j["prediction"]["confidence"] = 1.01; }},
      {"feature of text", [](json& j) { j["quality"]["features"]["sharpness"] = "high"; }},
      {"negative time", [](json& j) { j["timing_ms"]["policy"] = -1; }},
      {"negative spread", [](json& j) { j["layers"][0]["weight_distribution"]["std"] = -1; }},
  };
  for (const auto& [what, mutate] : mutations) {
    INFO(std::string(what));
    json bad = sound_decision();
    mutate(bad);
    CHECK(schema().problem(bad) != "");
  }
}
