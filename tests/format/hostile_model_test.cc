#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "runtime/core/error.h"
#include "runtime/format/model_file.h"
#include "runtime/format/safetensors.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using nlohmann::json;

namespace {

/// Opens or refuses as bad data: everything else (another exception, a crash) fails the test.
enum class Outcome { kOpened, kRefused };

Outcome open(const std::string& bytes) {
  try {
    parse_model(bytes, "hostile");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kData);
    return Outcome::kRefused;
  }
  return Outcome::kOpened;
}

const std::string& sound_bytes() {
  static const std::string bytes =
      model_bytes(bitpilot::testing::sample_model(bitpilot::testing::sample_network(8, 6, 3)));
  return bytes;
}

/// The sound file with its metadata and header changed; the data stay.
std::string mutated(const std::function<void(json& metadata, json& header)>& mutate) {
  const std::string& bytes = sound_bytes();
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < 8; ++i)
    length |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  json header = json::parse(bytes.substr(8, length));
  json metadata = json::parse(header["__metadata__"]["bitpilot"].get<std::string>());
  mutate(metadata, header);
  if (header.contains("__metadata__") && header["__metadata__"].contains("bitpilot"))
    header["__metadata__"]["bitpilot"] = metadata.dump();
  const std::string text = header.dump();
  std::string result;
  for (std::size_t i = 0; i < 8; ++i)
    result += static_cast<char>(static_cast<std::uint64_t>(text.size()) >> (8 * i) & 0xff);
  return result + text + bytes.substr(8 + length);
}

}  // namespace

TEST_CASE("format/hostile_model: a file cut anywhere is refused") {
  const std::string& bytes = sound_bytes();
  REQUIRE(open(bytes) == Outcome::kOpened);
  const std::size_t step = std::max<std::size_t>(1, bytes.size() / 400);
  for (std::size_t n = 0; n < bytes.size(); n += n < 64 ? 1 : step)
    CHECK(open(bytes.substr(0, n)) == Outcome::kRefused);
  CHECK(open(bytes.substr(0, bytes.size() - 1)) == Outcome::kRefused);
  CHECK(open(bytes + '\0') == Outcome::kRefused);
}

TEST_CASE("format/hostile_model: hostile metadata and headers are refused as bad data") {
  using Mutate = std::function<void(json&, json&)>;
  const std::vector<std::pair<const char*, Mutate>> cases{
      {"no metadata", [](json&, json& h) { h.erase("__metadata__"); }},
      {"no bitpilot metadata", [](json&, json& h) { h["__metadata__"].erase("bitpilot"); }},
      {"unknown version", [](json& m, json&) { m["format"] = 2; }},
      {"version 0", [](json& m, json&) { m["format"] = 0; }},
      {"version of text", [](json& m, json&) { m["format"] = "1"; }},
      {"no version", [](json& m, json&) { m.erase("format"); }},
      {"unknown key", [](json& m, json&) { m["exec"] = "rm"; }},
      {"metadata is a list", [](json& m, json&) { m = json::array(); }},
      {"network missing", [](json& m, json&) { m.erase("network"); }},
      {"huge input",
       [](json& m, json&) {
         m["network"]["nodes"][0]["shape"] = {65536, 65536, 65536};
       }},
      {"huge layer", [](json& m, json&) { m["network"]["nodes"][1]["out"] = 65536; }},
      {"huge kernel", [](json& m, json&) { m["network"]["nodes"][1]["kernel"] = 2147483647; }},
      {"stride 0", [](json& m, json&) { m["network"]["nodes"][1]["stride"] = 0; }},
      {"an Add of the future",
       [](json& m, json&) {
         m["network"]["nodes"][6]["inputs"] = {2, 30};
       }},
      {"a layer name that hides another", [](json& m, json&) { m["network"]["nodes"][3]["name"] = "stem"; }},
      {"block of 0", [](json& m, json&) { m["space"]["block"] = 0; }},
      {"no candidate bits", [](json& m, json&) { m["space"]["bits"][1] = json::array(); }},
      {"candidate of 1 bit",
       [](json& m, json&) {
         m["space"]["bits"][1] = {1, 8};
       }},
      {"stem that may change",
       [](json& m, json&) {
         m["space"]["bits"][0] = {2, 8};
       }},
      {"too few layers in the space", [](json& m, json&) { m["space"]["bits"].erase(1); }},
      {"stored at 64 bits", [](json& m, json&) { m["weights"][1]["stored_bits"] = 64; }},
      {"stored at 4 of 8 bits", [](json& m, json&) { m["weights"][1]["stored_bits"] = 4; }},
      {"unknown symmetry", [](json& m, json&) { m["weights"][1]["symmetry"] = "odd"; }},
      {"zero point of a symmetric layer", [](json& m, json&) { m["weights"][1]["zero_point"] = 5; }},
      {"carry step 0", [](json& m, json&) { m["carries"][0][0] = 0; }},
      {"carry step below float", [](json& m, json&) { m["carries"][0][0] = 1e-300; }},
      {"carry zero point 256", [](json& m, json&) { m["carries"][0][1] = 256; }},
      {"no anchors", [](json& m, json&) { m["anchors"] = json::array(); }},
      {"17 anchors",
       [](json& m, json&) {
         while (m["anchors"].size() < 17) m["anchors"].push_back(m["anchors"][0]);
       }},
      {"anchor name with a NUL", [](json& m, json&) { m["anchors"][0]["name"] = std::string("u\0", 2); }},
      {"anchor of too few layers", [](json& m, json&) { m["anchors"][0]["config"].erase(2); }},
      {"configuration of 1 bit", [](json& m, json&) { m["anchors"][0]["config"][2][0] = 1; }},
      {"configuration of 0 blocks", [](json& m, json&) { m["anchors"][0]["config"][2][2] = 0; }},
      {"configuration of 65536 blocks", [](json& m, json&) { m["anchors"][0]["config"][2][2] = 65536; }},
      {"negative blocks", [](json& m, json&) { m["anchors"][0]["config"][2][2] = -1; }},
      {"stem at 4 bits", [](json& m, json&) { m["anchors"][0]["config"][0][0] = 4; }},
      {"step 0", [](json& m, json&) { m["anchors"][0]["layers"][2][0] = 0; }},
      {"negative step", [](json& m, json&) { m["anchors"][0]["layers"][2][0] = -0.5; }},
      {"step of null (NaN)", [](json& m, json&) { m["anchors"][0]["layers"][2][0] = nullptr; }},
      {"step above float", [](json& m, json&) { m["anchors"][0]["layers"][2][0] = 1e39; }},
      {"zero point above its bits", [](json& m, json&) { m["anchors"][0]["layers"][2][1] = 4; }},
      {"gain of text", [](json& m, json&) { m["anchors"][0]["layers"][2][2] = "inf"; }},
      {"shift of 64", [](json& m, json&) { m["anchors"][0]["layers"][2][3] = 64; }},
      {"temperature 0", [](json& m, json&) { m["anchors"][0]["temperature"] = 0; }},
      {"safe anchor that is none", [](json& m, json&) { m["safe_anchor"] = 9; }},
      {"negative safe anchor", [](json& m, json&) { m["safe_anchor"] = -1; }},
      {"labels of another number", [](json& m, json&) { m["labels"].push_back("x"); }},
      {"label with a line break", [](json& m, json&) { m["labels"][0] = "a\nb"; }},
      {"label of 1 MB", [](json& m, json&) { m["labels"][0] = std::string(300000, 'x'); }},
      {"budget out of order",
       [](json& m, json&) {
         m["budget"] = {{1, 0.5}, {0.5, 0.2}};
       }},
      {"budget without cost",
       [](json& m, json&) {
         m["budget"] = {{1, 0}};
       }},
      {"negative lambda", [](json& m, json&) { m["default_lambda"] = -1; }},
      {"ranges of another number", [](json& m, json&) { m["statistics"]["ranges"].erase(0); }},
      {"range upside down",
       [](json& m, json&) {
         m["statistics"]["ranges"][0] = {1, 0};
       }},
      {"policy that is no JSON", [](json& m, json&) { m["policy"] = "{"; }},
      {"deep policy", [](json& m, json&) { m["policy"] = std::string(100, '[') + std::string(100, ']'); }},
      {"policy tensors without a policy", [](json& m, json&) { m["policy"] = ""; }},
      {"provenance that is no JSON", [](json& m, json&) { m["provenance"] = "x"; }},
      {"tensor missing",
       [](json&, json& h) {
         h["other"] = h["layers.stem.codes"];
         h.erase("layers.stem.codes");
       }},
      {"tensor too many", [](json& m, json&) { m["anchors"].erase(3); }},
      {"codes of another dtype", [](json&, json& h) { h["layers.stem.codes"]["dtype"] = "U8"; }},
      {"codes of another shape",
       [](json&, json& h) {
         h["layers.stem.codes"]["shape"] = {1, 8, 3, 3};
       }},
      {"scales as integers", [](json&, json& h) { h["layers.stem.scale"]["dtype"] = "I32"; }},
      {"two tensors on the same bytes",
       [](json&, json& h) {
         h["layers.stem.codes"]["data_offsets"] = h["layers.block2.depthwise.codes"]["data_offsets"];
       }},
      {"swapped offsets",
       [](json&, json& h) {
         std::swap(h["layers.stem.codes"]["data_offsets"][0], h["layers.stem.codes"]["data_offsets"][1]);
       }},
      {"policy tensor of 8 bytes an element",
       [](json&, json& h) {
         h["policy.hidden.bias"]["dtype"] = "I64";
         h["policy.hidden.bias"]["shape"] = {1};
       }},
  };
  REQUIRE(open(mutated([](json&, json&) {})) == Outcome::kOpened);
  for (const auto& [what, mutate] : cases) {
    INFO(std::string(what));
    CHECK(open(mutated(mutate)) == Outcome::kRefused);
  }
}

TEST_CASE("format/hostile_model: scales that are not finite are refused") {
  const std::string& bytes = sound_bytes();
  const SafeTensors file = parse_safetensors(bytes, "sound");
  const auto offset = static_cast<std::size_t>(
      reinterpret_cast<const char*>(file.tensors.at("layers.block1.conv1.scale").bytes.data()) - bytes.data());
  for (const char* value : {"\x00\x00\xc0\x7f", "\x00\x00\x80\x7f", "\x00\x00\x80\xff"}) {  // NaN, +inf, -inf
    std::string bad = bytes;
    bad.replace(offset, 4, value, 4);
    CHECK(open(bad) == Outcome::kRefused);
  }
}
