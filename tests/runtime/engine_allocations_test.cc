#include <doctest/doctest.h>

#include "data/picture_sums.h"
#include "data/preprocessor.h"
#include "runtime/adaptive.h"
#include "runtime/engine/engine.h"
#include "runtime/random_policy.h"
#include "tests/support/allocations.h"
#include "tests/support/random_model.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::allocation_count;
using bitpilot::testing::RandomModel;

namespace {

/// A model whose policy has every network, offsets included, and whose range of contrast a flat picture leaves.
ModelData adaptive_model(std::uint64_t seed, bool reads_pictures) {
  ModelData model = testing::sample_model(testing::sample_network());
  Random random(seed, "offsets");
  PolicyParameters policy = random_policy(model, seed);
  const int layers = model.network.layer_count();
  if (reads_pictures) policy.offset = random_mlp({policy.embedding.outputs() + 1, 9, 2 * layers}, random, 0.7);
  else policy.first_weight = policy.stop_weight = 0;
  model.policy = pack_policy(policy);
  model.statistics.assign(statistics_names().begin(), statistics_names().end());
  model.ranges.assign(kStatisticsCount, {-1e6F, 1e6F});
  constexpr std::size_t kContrast = 6;
  model.ranges[kContrast] = {60, 90};  // of noise; twice as wide it leaves out 0
  return model;
}

/// Noise; every eighth picture is flat.
std::vector<Prepared> some_pictures() {
  std::vector<Prepared> pictures;
  for (std::uint64_t i = 0; i < 48; ++i) {
    Random random(5, "picture", i);
    Image image(12, 12, 1);
    for (std::uint8_t& pixel : image.pixels) pixel = static_cast<std::uint8_t>(i % 8 == 7 ? 100 : random.below(256));
    pictures.push_back(preprocess(image.view(), {1, 12, 12}));
  }
  return pictures;
}

/// Ways that decisions went.
struct Ways {
  int one_look = 0, two_looks = 0, moved = 0, fallback = 0;
};

Ways decide_all(AdaptiveSession& session, const std::vector<Prepared>& pictures, bool guard) {
  Ways ways;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Decision& decision = session.decide(pictures[i], {std::nullopt, i % 2 == 0 ? 0.4 : 4.0, guard});
    (decision.looks.size() == 2 ? ways.two_looks : ways.one_look) += 1;
    ways.moved += decision.calibrated ? 0 : 1;
    ways.fallback += decision.fallback.empty() ? 0 : 1;
  }
  return ways;
}

}  // namespace

TEST_CASE("engine: a warm session allocates nothing for a picture, on anchors and on configurations seen before") {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    RandomModel random(seed);
    Session session(std::make_shared<Model>(random.model()), /*threads=*/seed % 2 == 0 ? 1 : 3);
    const std::vector<std::uint8_t> picture = random.picture();
    const BitConfig other = random.config();
    session.start(picture);
    session.look(other);
    const long before = allocation_count();
    for (int i = 0; i < 3; ++i) {
      session.start(picture);
      for (std::size_t a = 0; a < random.model().anchors.size(); ++a) {
        session.look_anchor(static_cast<int>(a));
        session.look(random.model().anchors[a].config);
      }
      session.look(other);
    }
    CHECK(allocation_count() == before);
  }
  const long before = allocation_count();
  operator delete(operator new(1));
  CHECK(allocation_count() == before + 1);  // the counter counts
}

TEST_CASE("runtime/adaptive: a warm decision allocates nothing, whichever way through the policy it goes") {
  const std::vector<Prepared> pictures = some_pictures();
  Ways all;
  for (std::uint64_t seed = 0; seed < 6; ++seed)
    for (const bool guard : {true, false}) {
      const bool reads_pictures = seed % 2 == 0;
      INFO("seed ", seed, ", guard ", guard);
      const auto model = std::make_shared<Model>(adaptive_model(seed, reads_pictures));
      AdaptiveSession session(model);
      decide_all(session, pictures, guard);
      const long before = allocation_count();
      const Ways ways = decide_all(session, pictures, guard);
      CHECK(allocation_count() == before);
      CHECK((ways.moved > 0) == reads_pictures);
      CHECK(ways.fallback == (guard ? 6 : 0));
      all.one_look += ways.one_look;
      all.two_looks += ways.two_looks;
    }
  CHECK(all.one_look > 50);
  CHECK(all.two_looks > 50);
}

TEST_CASE("runtime/adaptive: a warm decision by a fixed rule or without a policy allocates nothing") {
  ModelData data = adaptive_model(1, true);
  const DecisionRule other{uniform_config(data.space, 2, 8), 0}, policy{std::nullopt, 0.4};
  data.policy = {};
  AdaptiveSession session(std::make_shared<Model>(data));
  const std::vector<Prepared> pictures = some_pictures();
  long before = 0;
  for (int turn = 0; turn < 3; ++turn) {
    if (turn == 1) before = allocation_count();
    for (const DecisionRule* rule : {&other, &policy})
      for (const Prepared& picture : pictures) session.decide(picture, *rule);
  }
  CHECK(allocation_count() == before);
}

TEST_CASE("runtime/adaptive: warm preprocessing, statistics and decision together allocate nothing for a picture") {
  const ModelData data = adaptive_model(2, true);
  std::vector<Image> pictures;  // of the network's size, and others that shrink or grow; gray and colour
  for (const auto& [height, width] : {std::pair{12, 12}, {40, 25}, {9, 30}, {64, 64}, {10, 8}})
    for (const int channels : {1, 3}) {
      Random random(6, "picture", pictures.size());
      Image& image = pictures.emplace_back(height, width, channels);
      for (std::uint8_t& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
    }
  AdaptiveSession session(std::make_shared<Model>(data));
  Preprocessor preprocessor;
  Prepared prepared, colour;
  const DecisionRule fixed{uniform_config(data.space, 2, 8), 0}, policy{std::nullopt, 0.4};
  const auto judge_all = [&] {
    int looks = 0;
    for (const Image& picture : pictures)
      for (const DecisionRule* rule : {&fixed, &policy}) {
        const bool statistics = session.reads_statistics(*rule);
        preprocessor.prepare(picture.view(), data.network.input_shape(), data.preprocessing.stretch, statistics, prepared);
        looks += static_cast<int>(session.decide(prepared, *rule).looks.size());
        preprocessor.prepare(picture.view(), {3, 16, 16}, data.preprocessing.stretch, statistics, colour);
      }
    return looks;
  };
  const int looks = judge_all();
  CHECK(looks > 2 * static_cast<int>(pictures.size()));
  const long before = allocation_count();
  CHECK(judge_all() == looks);
  CHECK(allocation_count() == before);
}

TEST_CASE("data/image_statistics: a picture of a network's size is looked at without an allocation") {
  for (const int side : {12, 28, 32, 224, 256}) {
    const Image image(side, side, 1);
    const long before = allocation_count();
    image_statistics(image.view());
    picture_sums_portable(image.view());
    CHECK(allocation_count() == before);
  }
}
