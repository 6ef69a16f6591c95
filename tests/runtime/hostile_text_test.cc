// Damaged text files that programs read besides models and pictures.
#include <doctest/doctest.h>

#include <functional>
#include <memory>

#include "runtime/commands/bits.h"
#include "runtime/commands/judge_loop.h"
#include "runtime/commands/record.h"
#include "runtime/commands/replay.h"
#include "runtime/core/error.h"
#include "runtime/profile.h"
#include "runtime/sinks/json_lines.h"
#include "tests/support/damage.h"
#include "tests/support/random_policy_model.h"
#include "tests/support/temporary_folder.h"

using namespace bitpilot;
using bitpilot::testing::Damage;
using bitpilot::testing::random_policy_model;
using bitpilot::testing::TemporaryFolder;

namespace {

/// Feeds damaged versions of `sound` to `read`, which may refuse them with one of `allowed` only.  With `json`, half of
/// them keep the form of JSON lines.
void damage_and_read(const std::string& sound, bool json, std::initializer_list<ExitCode> allowed,
                     const std::function<void(const std::string&)>& read) {
  REQUIRE_NOTHROW(read(sound));
  const std::uint64_t count = bitpilot::testing::damaged_files(300);
  std::uint64_t refused = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    CAPTURE(i);
    const std::string text = Damage(i).text(sound, json);
    try {
      read(text);
    } catch (const Error& error) {
      ++refused;
      CHECK(std::find(allowed.begin(), allowed.end(), error.code) != allowed.end());
    }
  }
  CHECK(refused > 0);
  CHECK(refused < count);
}

/// Three decision records as `run` writes them.
std::string decision_lines(const std::shared_ptr<const Model>& model) {
  const DecisionLines lines(model);
  PictureJudge judge(model);
  std::string text;
  for (std::uint64_t i = 0; i < 3; ++i) {
    Frame frame;
    frame.image = Image(40, 40, 1);
    for (std::size_t p = 0; p < frame.image.pixels.size(); ++p)
      frame.image.pixels[p] = static_cast<std::uint8_t>(p * (i + 3) % 251);
    frame.source = "rtsp://192.0.2.1/" + std::to_string(i);
    const std::optional<Region> region = i == 0 ? std::nullopt : std::optional(Region{0, 1, 20, 20 + static_cast<int>(i)});
    text += lines.line(judge.judge(frame, region, {std::nullopt, 0.3, true}), i) + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("hostile_text: damaged decision records are refused as bad data, or read") {
  const TemporaryFolder folder;
  const auto model = std::make_shared<const Model>(random_policy_model());
  Stop stop;
  stop.request();  // reads the records, judges none
  damage_and_read(decision_lines(model), /*json=*/true, {ExitCode::kData}, [&](const std::string& text) {
    replay(folder.write("d.jsonl", text), model, std::nullopt, /*quiet=*/true, stop);
  });
}

TEST_CASE("hostile_text: a damaged file of records is gone on with, or left alone") {
  const TemporaryFolder folder;
  const auto model = std::make_shared<const Model>(random_policy_model());
  damage_and_read(decision_lines(model), /*json=*/true, {ExitCode::kUsage}, [&](const std::string& text) {
    const std::string path = folder.write("d.jsonl", text);
    JsonLines(path, /*append=*/true).write("{}");
    CHECK(folder.read("d.jsonl").ends_with("{}\n"));
  });
}

TEST_CASE("hostile_text: a damaged configuration is refused as bad data, or fits the model") {
  const ModelData model = random_policy_model();
  nlohmann::json rows = nlohmann::json::array();
  for (const LayerBits& bits : model.anchors.back().config) rows.push_back({bits.weight, bits.activation, bits.active_blocks});
  for (const std::string& sound : {rows.dump(), nlohmann::json{{"bits", rows}, {"name", "half"}}.dump()})
    damage_and_read(sound, /*json=*/true, {ExitCode::kData}, [&](const std::string& text) {
      check_config(model.network, model.space, parse_config(text, "hostile", model));
    });
}

TEST_CASE("hostile_text: a damaged profile is refused as bad data, or chooses kernels that exist") {
  const ModelData data = random_policy_model();
  const Machine machine = this_machine(active_kernels(), 1);
  std::vector<ProfileEntry> entries;
  for (int l = 0; l < data.network.layer_count(); ++l) {
    const LayerSpace& space = data.space.layers[static_cast<std::size_t>(l)];
    for (const int bits : space.bits)
      for (int blocks = space.fixed ? space.blocks : 1; blocks <= space.blocks; ++blocks)
        entries.push_back({l, bits, bits, blocks, 0.5, 0.01, 0.1, 0, "any"});
  }
  // On one line, as damage to its form wants it.
  const std::string sound = nlohmann::json::parse(profile_text(machine, data.network, data.space, entries, {0.01, 0.02, 0.03})).dump();
  const std::vector<std::uint8_t> picture(28 * 28, 100);
  damage_and_read(sound, /*json=*/true, {ExitCode::kData}, [&](const std::string& text) {
    Profile profile = parse_profile(text, "hostile", data.network, data.space, machine);
    Session session(std::make_shared<const Model>(data, nullptr, std::move(profile.choice)));
    session.start(picture);
    CHECK(session.look_anchor(0).size() == data.labels.size());
  });
}
