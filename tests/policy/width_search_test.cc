#include "policy/width_search.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/core/error.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using bitpilot::testing::synthetic_model;

namespace {

/// A model whose anchors are whole and narrow, and a machine on which filters alone take time.
struct Timed {
  ModelData model = synthetic_model();
  CostTable cost{"ms", model.network, model.space};
  std::vector<WidthPattern> patterns;
  Timed() {
    for (std::size_t l = 0; l < model.space.layers.size(); ++l)
      for (int w = 2; w <= 8; ++w)
        for (int a = 2; a <= 8; ++a)
          for (int blocks = 1; blocks <= model.space.layers[l].blocks; ++blocks) cost.at(static_cast<int>(l), w, a, blocks) = 0.01 * blocks;
    std::vector<BitConfig> anchors;
    for (const Anchor& anchor : model.anchors) anchors.push_back(anchor.config);
    patterns = width_patterns(model.space, anchors);
  }
};

/// Fewer bits lose more; filters left out lose `narrow` more.
ConfigJudge judge_of(double narrow, int* asked) {
  return [narrow, asked](const BitConfig& config) {
    ++*asked;
    SearchPoint point;
    int blocks = 0;
    for (const LayerBits& layer : config) {
      point.loss += 0.1 / layer.weight + 0.1 / layer.activation;
      blocks += layer.active_blocks;
    }
    point.loss -= narrow * blocks;
    return point;
  };
}

/// The lowest bits: what a search that finds nothing better ends with.
BitSearch lowest_of(const ConfigJudge& judge, std::vector<std::size_t>* searched) {
  return [&judge, searched](const DrawSpace& from, std::size_t width) {
    searched->push_back(width);
    SearchPoint point = judge(lowest_config(from));
    point.config = lowest_config(from);
    point.relative = from.relative(point.config);
    return point;
  };
}

}  // namespace

TEST_CASE("policy/width_search: the anchors' widths are taken once each, whole layers first") {
  const Timed timed;
  REQUIRE(timed.model.anchors.size() == 4);
  REQUIRE(timed.patterns.size() == 2);
  for (std::size_t l = 0; l < timed.patterns[0].size(); ++l) {
    CHECK(timed.patterns[0][l] == timed.model.space.layers[l].blocks);
    CHECK(timed.patterns[1][l] == timed.model.anchors.back().config[l].active_blocks);
  }
  CHECK((timed.patterns[0] != timed.patterns[1]));
  CHECK(width_patterns(timed.model.space, {}).size() == 1);
}

TEST_CASE("policy/width_search: where filters alone take time a budget below the whole network is met by a narrow one") {
  const Timed timed;
  int asked = 0;
  const ConfigJudge judge = judge_of(0.001, &asked);
  std::vector<std::size_t> searched;
  const double least = least_relative(timed.model.space, timed.cost, timed.patterns);
  CHECK(least < 0.7);
  const WidthSearchResult result =
      search_widths(timed.model.space, timed.cost, timed.patterns, 0.7, judge, lowest_of(judge, &searched));
  REQUIRE(searched.size() == 1);
  CHECK(searched.front() == 1);
  CHECK(result.winner == 1);
  CHECK(result.best.relative == doctest::Approx(least));
  for (std::size_t l = 0; l < result.best.config.size(); ++l) CHECK(result.best.config[l].active_blocks == timed.patterns[1][l]);
  // The highest bits fit the budget too, and lose less than the lowest, which is all that the search came back with.
  CHECK(result.best.config[1].weight == 8);
  CHECK_FALSE(result.trials[0].affordable);
  CHECK(result.trials[0].least == doctest::Approx(1));
  CHECK(result.trials[1].searched);
}

TEST_CASE("policy/width_search: the least loss of all widths wins; a width whose highest bits lose more already is not searched") {
  const Timed timed;
  for (const double narrow : {0.001, -0.05}) {  // filters left out lose a little, or gain
    int asked = 0;
    const ConfigJudge judge = judge_of(narrow, &asked);
    std::vector<std::size_t> searched;
    const WidthSearchResult result =
        search_widths(timed.model.space, timed.cost, timed.patterns, 1.0, judge, lowest_of(judge, &searched));
    CHECK(result.winner == (narrow > 0 ? 0 : 1));
    CHECK(result.trials[result.winner].searched);
    CHECK_FALSE(result.trials[1 - result.winner].searched);
    REQUIRE(searched.size() == 1);
    CHECK(searched.front() == result.winner);
    CHECK(result.trials[0].affordable);
    CHECK(result.trials[1].affordable);
  }
}

TEST_CASE("policy/width_search: a budget below all widths is refused before anything is judged, and the message names what suffices") {
  const Timed timed;
  int asked = 0;
  const ConfigJudge judge = judge_of(0.001, &asked);
  std::vector<std::size_t> searched;
  const double least = least_relative(timed.model.space, timed.cost, timed.patterns);
  try {
    search_widths(timed.model.space, timed.cost, timed.patterns, 0.9 * least, judge, lowest_of(judge, &searched));
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kUsage);
    CHECK(std::string(error.what()).find("at least " + at_least(least)) != std::string::npos);
  }
  CHECK(asked == 0);
  for (const double cost : {0.0738412, 0.5, 1.0, 0.0231, 12.3456, 9.9999}) {
    CHECK(std::stod(at_least(cost)) >= cost);
    CHECK(std::stod(at_least(cost)) <= cost * 1.0011);
  }
}
