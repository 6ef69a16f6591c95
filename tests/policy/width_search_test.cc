#include "policy/width_search.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "runtime/core/backbones.h"
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

TEST_CASE("policy/width_search: mixes take every group's width from one of the patterns, each mix once, the patterns first") {
  const Timed timed;
  const Network& network = timed.model.network;
  const std::vector<WidthPattern> mixed = mixed_widths(network, timed.patterns);
  REQUIRE(mixed.size() > timed.patterns.size());
  for (std::size_t i = 0; i < timed.patterns.size(); ++i) CHECK((mixed[i] == timed.patterns[i]));
  std::set<int> free;  // groups that a configuration may narrow, and that the patterns do
  for (int l = 0; l < network.layer_count(); ++l) {
    const auto at = static_cast<std::size_t>(l);
    if (!network.fixed(l) && timed.patterns[0][at] != timed.patterns[1][at]) free.insert(network.width_groups()[at]);
  }
  CHECK(mixed.size() == std::size_t{1} << free.size());
  CHECK(std::set<WidthPattern>(mixed.begin(), mixed.end()).size() == mixed.size());
  for (const WidthPattern& pattern : mixed) {
    BitConfig config = uniform_config(timed.model.space, 8, 8);
    for (std::size_t l = 0; l < pattern.size(); ++l) config[l].active_blocks = pattern[l];
    CHECK_NOTHROW(check_config(network, timed.model.space, config));  // layers of one group agree
  }
  // A long network's mixes are too many: those that change once are left, and not more than the limit.
  const Network deep = make_backbone("resnet20", {3, 32, 32}, 10, 16);
  const BitSpace space = make_bit_space(deep, {2, 8}, 8);
  const auto width = [&](double share) {
    WidthPattern pattern;
    for (const LayerBits& layer : uniform_config(space, 8, 8, share)) pattern.push_back(layer.active_blocks);
    return pattern;
  };
  const std::vector<WidthPattern> some = mixed_widths(deep, {width(1), width(0.5)});
  CHECK(some.size() > 10);
  CHECK(some.size() <= kMostWidths);
  CHECK(std::set<WidthPattern>(some.begin(), some.end()).size() == some.size());
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
