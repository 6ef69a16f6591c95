#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "runtime/adaptive.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/format/model_file.h"
#include "tests/support/allocations.h"
#include "tests/support/damage.h"
#include "tests/support/random_policy_model.h"

using namespace bitpilot;
using bitpilot::testing::Damage;
using bitpilot::testing::PeakAllocation;
using nlohmann::json;

namespace {

constexpr std::size_t kLoadSlack = std::size_t{16} << 20;
constexpr std::int64_t kLargestDecided = 1 << 20;  // elements of a value: a bigger network is sound, but takes its time

std::string source_file(const std::string& name) { return read_file(std::string(BITPILOT_SOURCE_DIR) + "/" + name); }

/// A model file in its three parts.
struct Parts {
  json header, metadata;
  std::string data;
};

Parts parts_of(const std::string& bytes) {
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  Parts parts{json::parse(bytes.substr(8, length)), {}, bytes.substr(8 + length)};
  parts.metadata = json::parse(parts.header["__metadata__"]["bitpilot"].get<std::string>());
  return parts;
}

std::string file_of(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

std::string file_of(const Parts& parts) {
  json header = parts.header;
  header["__metadata__"]["bitpilot"] = parts.metadata.dump();
  return file_of(header.dump(), parts.data);
}

/// One element of a tensor becomes another one.  Each tensor is as likely, so that small tables are met as well.
void damage_tensor(Parts& parts, Damage& damage) {
  auto tensor = parts.header.begin();
  do {
    tensor = parts.header.begin();
    std::advance(tensor, damage.below(parts.header.size()));
  } while (tensor.key() == "__metadata__");
  const auto begin = tensor->at("data_offsets")[0].get<std::size_t>(), end = tensor->at("data_offsets")[1].get<std::size_t>();
  const std::string dtype = tensor->at("dtype");
  const std::size_t size = dtype.ends_with("32") ? 4 : dtype.ends_with("16") ? 2 : 1;
  if (begin == end) return;
  static constexpr std::uint32_t kTelling[] = {0,          0xffffffff, 0x7fffffff, 0x80000000, 0x7f800000, 0xff800000,
                                               0x7fc00000, 0x7f7fffff, 0x00000001, 0x3f800001, 0xc0000000, 0x40000001};
  const std::uint32_t value = kTelling[damage.below(std::size(kTelling))];
  std::memcpy(parts.data.data() + begin + damage.below((end - begin) / size) * size, &value, size);
}

std::string damaged(const std::string& sound, const Parts& sound_parts, Damage& damage) {
  Parts parts = sound_parts;
  switch (damage.below(8)) {
    case 0:
      return damage.bytes(sound);
    case 1:
      return file_of(damage.bytes(parts.header.dump()), parts.data);
    case 2: {
      json header = parts.header;
      header["__metadata__"]["bitpilot"] = damage.bytes(parts.metadata.dump());
      return file_of(header.dump(-1, ' ', false, json::error_handler_t::replace), parts.data);
    }
    case 3:
      damage.json(parts.header);
      return file_of(parts.header.dump(), parts.data);
    case 4: {
      json policy = json::parse(parts.metadata["policy"].get<std::string>(), nullptr, /*allow_exceptions=*/false);
      damage.json(policy);
      parts.metadata["policy"] = policy.dump();
      return file_of(parts);
    }
    case 5:
      for (std::size_t left = 1 + damage.below(4); left > 0; --left) damage_tensor(parts, damage);
      return file_of(parts);
    default:
      damage.json(parts.metadata);
      return file_of(parts);
  }
}

bool quick(const Network& network) {
  std::int64_t most = 0;
  for (const Node& node : network.nodes)
    most = std::max(most, std::int64_t{node.shape.channels} * node.shape.height * node.shape.width);
  return most <= kLargestDecided && network.macs() < 1 << 26;
}

Image striped(int size) {
  Image image(size, size, 1);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
  return image;
}

enum class Outcome { kRefused, kLoaded, kDecided };

/// Loads a model and decides on a picture: what it does not refuse as bad data has to go well.  `policy`: the sound file
/// has one that can be run.
Outcome use(const std::string& bytes, bool policy) {
  try {
    const PeakAllocation peak;
    const auto model = std::make_shared<const Model>(parse_model(bytes, "hostile"));
    CHECK(peak.bytes() <= bytes.size() + kLoadSlack);  // the file itself is there already
    const ModelData& data = model->data();
    if (!quick(data.network)) return Outcome::kLoaded;
    const Prepared picture = preprocess(striped(28).view(), data.network.input_shape(), data.preprocessing.stretch, /*statistics=*/policy);
    Session session(model);
    session.start(picture.codes);
    for (std::size_t a = 0; a < data.anchors.size(); ++a) {
      const std::span<const float> scores = session.look_anchor(static_cast<int>(a));
      CHECK(scores.size() == data.labels.size());
    }
    if (!policy || data.policy.description.empty()) return Outcome::kDecided;
    AdaptiveSession adaptive(model);
    for (const double lambda : {data.default_lambda, 0.0, 1e-6, 0.3, 1e6})
      for (const bool guard : {true, false}) {
        const Decision decision = adaptive.decide(picture, {std::nullopt, lambda, guard});
        CHECK(decision.looks.size() >= 1);
        CHECK(decision.looks.size() <= 2);
        CHECK(decision.label >= 0);
        CHECK(decision.label < static_cast<int>(data.labels.size()));
      }
    return Outcome::kDecided;
  } catch (const Error& error) {
    INFO(std::string(error.what()));
    CHECK(error.code == ExitCode::kData);
    return Outcome::kRefused;
  }
}

void damage_and_use(const std::string& sound, std::uint64_t usual, bool policy = true) {
  const Parts parts = parts_of(sound);
  REQUIRE(use(sound, policy) == Outcome::kDecided);
  REQUIRE(use(file_of(parts), policy) == Outcome::kDecided);
  const std::uint64_t count = bitpilot::testing::damaged_files(usual);
  std::uint64_t refused = 0, decided = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    CAPTURE(i);
    Damage damage(i);
    const Outcome outcome = use(damaged(sound, parts, damage), policy);
    refused += outcome == Outcome::kRefused;
    decided += outcome == Outcome::kDecided;
  }
  CHECK(refused > count / 4);
  CHECK(refused < count);
  MESSAGE(count, " damaged files: ", refused, " refused, ", decided, " decided");
}

}  // namespace

TEST_CASE("hostile_model: a damaged model is refused, or decides") {
  damage_and_use(source_file("experiments/models/fashion_mnist.safetensors"), 250);
}

TEST_CASE("hostile_model: so does one whose policy reads everything that a policy can read") {
  damage_and_use(model_bytes(bitpilot::testing::random_policy_model(1, /*size=*/12, /*classes=*/4)), 500);
  damage_and_use(source_file("tests/format/data/version_1_two_look.safetensors"), 150);
}

TEST_CASE("hostile_model: so do kept files of weights in every storage") {
  for (const char* name : {"version_1.safetensors", "version_1_packed.safetensors"})
    damage_and_use(source_file(std::string("tests/format/data/") + name), 200, /*policy=*/false);
}

TEST_CASE("hostile_model: no header asks for more memory than twice the file and 16 MiB") {
  const auto refused_within_bounds = [](const std::string& header) {
    const std::string bytes = file_of(header, "");
    const PeakAllocation peak;
    CHECK_THROWS_AS(parse_model(bytes, "hostile"), Error);
    CHECK(peak.bytes() <= bytes.size() + kLoadSlack);
  };
  const auto in_metadata = [](const json& metadata) { return json{{"__metadata__", {{"bitpilot", metadata.dump()}}}}.dump(); };
  // Just below and far above what is read: values of the header 2^17, of the policy 2^16.
  for (const char* unit : {"0,", "{},", "\"\",", "{\"a\":0},"})
    for (const std::size_t count : {std::size_t{30000}, std::size_t{65000}, std::size_t{130000}}) {
      CAPTURE(count);
      std::string list = "[";
      for (std::size_t i = 0; i < count && list.size() < 900000; ++i) list += unit;
      list += "0]";
      refused_within_bounds(R"({"a":)" + list + "}");
      if (list.size() > 400000) continue;  // quoted it would be longer than any header
      refused_within_bounds(in_metadata({{"format", 1}, {"network", json::parse(list)}}));
      refused_within_bounds(in_metadata({{"format", 1}, {"policy", list}}));
    }
  json keys = json::object();
  for (int i = 0; i < 60000; ++i) keys[std::to_string(i)] = 0;
  refused_within_bounds(keys.dump());
  refused_within_bounds(in_metadata(keys));
}

TEST_CASE("hostile_model: a network whose values would fill the memory is refused before anything is allocated") {
  Network network;
  network.name = "tower";
  int x = network.relu(network.conv("stem", network.input({1, 1024, 1024}), 64, 1));
  for (int l = 0; l < 70; ++l) x = network.relu(network.conv("layer" + std::to_string(l), x, 64, 1));
  network.linear("classifier", network.global_avg_pool(x), 2);
  network.finish();
  bitpilot::testing::SampleOptions options;
  options.policy = false;
  ModelData data = bitpilot::testing::sample_model(network, options);
  // Few enough to fit 32 bits over a million pixels.
  for (std::int8_t& code : data.weights.back().codes) code = 0;
  ExitCode code = ExitCode::kOk;
  try {
    const Model model(std::move(data));
  } catch (const Error& error) {
    code = error.code;
    CHECK(std::string(error.what()).find("MiB of memory") != std::string::npos);
  }
  CHECK(code == ExitCode::kData);
}
