#include <doctest/doctest.h>

#include <functional>
#include <thread>

#include "runtime/core/error.h"
#include "runtime/engine/engine.h"
#include "tests/support/random_model.h"

using namespace bitpilot;
using bitpilot::testing::RandomModel;

namespace {

std::vector<float> scores_of(std::span<const float> scores) { return {scores.begin(), scores.end()}; }

struct Answer {
  std::vector<std::int32_t> stem;
  std::vector<std::vector<float>> scores;  // by anchor
  bool operator==(const Answer&) const = default;
};

Answer answer(Session& session, const std::vector<std::uint8_t>& picture, const ModelData& model) {
  session.start(picture);
  Answer answer;
  answer.stem.assign(session.stem_sums().begin(), session.stem_sums().end());
  for (const Anchor& anchor : model.anchors) answer.scores.push_back(scores_of(session.look(anchor.config)));
  return answer;
}

}  // namespace

TEST_CASE("engine: a picture is decided alone: what ran before, and in which order, changes nothing") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    RandomModel random(seed, {.large_zero_points = seed % 2 == 0});
    const auto model = std::make_shared<Model>(random.model());
    std::vector<std::vector<std::uint8_t>> pictures;
    std::vector<Answer> alone;
    for (int p = 0; p < 4; ++p) {
      pictures.push_back(random.picture());
      Session fresh(model);
      alone.push_back(answer(fresh, pictures.back(), random.model()));
    }
    Session used(model);
    for (const int p : {3, 0, 0, 2, 1, 3}) {
      INFO("seed ", seed, ", picture ", p);
      const BitConfig other = random.config();
      used.start(pictures[static_cast<std::size_t>((p + 1) % 4)]);
      used.look(other);
      CHECK(answer(used, pictures[static_cast<std::size_t>(p)], random.model()) == alone[static_cast<std::size_t>(p)]);
    }
  }
}

TEST_CASE("engine: a second look from the same stem is the look that a fresh session takes") {
  for (std::uint64_t seed = 100; seed < 130; ++seed) {
    RandomModel random(seed);
    const auto model = std::make_shared<Model>(random.model());
    const std::vector<std::uint8_t> picture = random.picture();
    const BitConfig first = random.config(), second = random.config();
    Session session(model), fresh(model);
    session.start(picture);
    session.look(first);
    fresh.start(picture);
    CHECK(scores_of(session.look(second)) == scores_of(fresh.look(second)));
    CHECK(session.trace(picture, first) == fresh.trace(picture, first));
  }
}

TEST_CASE("engine: an anchor by index is the anchor by configuration") {
  RandomModel random(3);
  Session session(std::make_shared<Model>(random.model()));
  session.start(random.picture());
  for (std::size_t a = 0; a < random.model().anchors.size(); ++a) {
    const std::vector<float> by_index = scores_of(session.look_anchor(static_cast<int>(a)));
    CHECK(by_index == scores_of(session.look(random.model().anchors[a].config)));
  }
}

TEST_CASE("engine: sessions of one model run at the same time and agree") {
  RandomModel random(11);
  const auto model = std::make_shared<Model>(random.model());
  std::vector<std::vector<std::uint8_t>> pictures;
  std::vector<BitConfig> configs;
  for (int i = 0; i < 6; ++i) pictures.push_back(random.picture()), configs.push_back(random.config());
  const auto run = [&] {
    Session session(model);
    std::vector<std::vector<float>> all;
    for (const auto& picture : pictures) {
      session.start(picture);
      for (const BitConfig& config : configs) all.push_back(scores_of(session.look(config)));
    }
    return all;
  };
  std::vector<std::vector<std::vector<float>>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&] { result = run(); });
  for (std::thread& thread : threads) thread.join();
  const auto expected = run();
  for (const auto& result : results) CHECK(result == expected);
}

TEST_CASE("engine: fewer active blocks take less work: filters past them are neither read nor written") {
  Network network;
  network.name = "narrow";
  const int stem = network.relu(network.conv("stem", network.input({1, 8, 8}), 16, 3));
  const int inner = network.relu(network.conv("inner", stem, 32, 3));
  network.linear("classifier", network.global_avg_pool(network.relu(network.conv("last", inner, 32, 1))), 4);
  network.finish();
  RandomModel random(network, 1);
  ModelData model = random.model();
  model.space = make_bit_space(network, {8}, 8);
  for (LayerWeights& layer : model.weights) layer.stored_bits = 8;
  model.anchors.resize(1);
  model.anchors[0].config = uniform_config(model.space, 8, 8);
  const BitConfig narrow = uniform_config(model.space, 8, 8, 0.25);
  const std::vector<std::uint8_t> picture = random.picture();
  const std::vector<CodeTrace> before = Session(std::make_shared<Model>(model)).trace(picture, narrow);
  // Change every weight that belongs to a filter or channel past the first block.
  for (int l = 1; l <= 2; ++l) {
    LayerWeights& layer = model.weights[static_cast<std::size_t>(l)];
    const std::size_t in = l == 1 ? 16 : 32, taps = l == 1 ? 9 : 1;
    for (std::size_t i = 0; i < layer.codes.size(); ++i) {
      const bool inactive = i / (in * taps) >= 8 || (l == 2 && i / taps % in >= 8);
      if (inactive) layer.codes[i] = static_cast<std::int8_t>(layer.codes[i] ^ 0x55);
    }
  }
  const std::vector<CodeTrace> after = Session(std::make_shared<Model>(model)).trace(picture, narrow);
  CHECK(after == before);
  CHECK(before[2].codes.size() == 8 * 64);  // the code that "last" reads: one block of 8x8 pixels
}

TEST_CASE("engine: what does not fit is refused by name, before anything runs") {
  RandomModel random(2);
  const auto model = std::make_shared<Model>(random.model());
  Session session(model);
  CHECK_THROWS_AS(session.look(random.model().anchors[0].config), Error);  // no picture yet
  const auto code_of = [](const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.code;
    }
    return ExitCode::kOk;
  };
  CHECK(code_of([&] { session.start(std::vector<std::uint8_t>(3)); }) == ExitCode::kData);
  session.start(random.picture());
  BitConfig config = random.model().anchors[0].config;
  config[1].activation = 9;
  CHECK(code_of([&] { session.look(config); }) == ExitCode::kData);
  config = random.model().anchors[0].config;
  config.pop_back();
  CHECK(code_of([&] { session.look(config); }) == ExitCode::kData);
  config = random.model().anchors[0].config;
  config[1].active_blocks = 0;
  CHECK(code_of([&] { session.look(config); }) == ExitCode::kData);
  CHECK(code_of([&] { session.look_anchor(99); }) == ExitCode::kData);
}

TEST_CASE(
    "engine: anchors that calibrate the stem differently are refused: it runs before the configuration is known") {
  for (std::uint64_t seed = 0;; ++seed) {
    ModelData model = RandomModel(seed).model();
    if (model.anchors.size() < 2) continue;
    model.anchors[1].layers[0].gain *= 1.5F;
    CHECK_THROWS_WITH_AS(Model{model}, doctest::Contains("stem"), Error);
    break;
  }
}
