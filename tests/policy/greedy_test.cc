#include "policy/greedy.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/core/error.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using bitpilot::testing::sample_network;
using bitpilot::testing::synthetic_model;

namespace {

/// Loss that grows by a layer's own sensitivity as its bits fall; one layer is ten times as sensitive as the others.
SearchPoint made_up(const BitConfig& config) {
  SearchPoint point;
  for (std::size_t l = 1; l + 1 < config.size(); ++l) {
    const double sensitivity = l == 2 ? 1.0 : 0.1;
    point.loss += sensitivity * (1.0 / config[l].weight + 0.5 / config[l].activation);
  }
  point.accuracy = 1 - point.loss / 4;
  return point;
}

/// Four layers alike between stem and classifier.
Network four_layers() {
  Network network;
  network.name = "four";
  int x = network.relu(network.conv("stem", network.input({1, 8, 8}), 8, 3));
  for (const char* name : {"a", "b", "c", "d"}) x = network.relu(network.conv(name, x, 8, 3));
  network.linear("classifier", network.global_avg_pool(x), 4);
  network.finish();
  return network;
}

}  // namespace

TEST_CASE("policy/greedy: the search comes near the best of all configurations within the budget") {
  const Network network = four_layers();
  const BitSpace space = make_bit_space(network, {2, 4, 8});
  const CostTable cost = bops_table(network, space);
  GreedyOptions options;
  options.budget = 0.25;
  const GreedyResult result = greedy_search({space, cost}, made_up, options);
  CHECK(result.best.relative <= options.budget);
  double best = 1e9, most_accurate = 0;
  const int ladder[] = {2, 4, 8};
  for (int code = 0; code < 6561; ++code) {
    BitConfig config = uniform_config(space, 8, 8);
    int rest = code;
    for (std::size_t l = 1; l <= 4; ++l) {
      config[l].weight = ladder[rest % 3];
      config[l].activation = ladder[rest / 3 % 3];
      rest /= 9;
    }
    if (cost.cost(config) / cost.reference() > options.budget) continue;
    best = std::min(best, made_up(config).loss);
    most_accurate = std::max(most_accurate, made_up(config).accuracy);
  }
  // Greedy moves promise no optimum: within half a point of the best of all 6,561, and better than any uniform configuration.
  constexpr double kWithin = 0.005;
  CHECK(result.best.accuracy >= most_accurate - kWithin);
  CHECK(result.best.loss <= best * 1.1);
  for (const int bits : ladder) {
    const BitConfig uniform = uniform_config(space, bits, bits);
    if (cost.cost(uniform) / cost.reference() <= options.budget) CHECK(result.best.loss < made_up(uniform).loss);
  }
  CHECK(result.best.config[2].weight >= result.best.config[1].weight);
  constexpr int kRandom = 30;
  double random_mean = 0;
  for (const BitConfig& config : random_configs_at({space, cost}, result.best.relative, /*tolerance=*/0.02, kRandom, /*seed=*/1))
    random_mean += made_up(config).loss / kRandom;
  CHECK(result.best.loss < random_mean);
  CHECK(result.evaluations < 600);
  for (std::size_t i = 1; i < result.pareto.size(); ++i) {
    CHECK(result.pareto[i].relative > result.pareto[i - 1].relative);
    CHECK(result.pareto[i].loss < result.pareto[i - 1].loss);
  }
}

TEST_CASE("policy/greedy: a budget below the cheapest configuration is refused, any other is met") {
  const ModelData model = synthetic_model();
  const CostTable cost = bops_table(model.network, model.space);
  GreedyOptions options;
  options.budget = 1e-4;
  CHECK_THROWS_AS(greedy_search({model.space, cost}, made_up, options), Error);
  for (const double budget : {0.09, 0.2, 0.4}) {
    options.budget = budget;
    const GreedyResult result = greedy_search({model.space, cost}, made_up, options);
    CHECK(result.best.relative <= budget);
    CHECK(result.best.relative > 0);
    check_config(model.network, model.space, result.best.config);
  }
}

TEST_CASE("policy/greedy: the way to a budget does not run in circles") {
  const Network network = four_layers();
  const BitSpace space = make_bit_space(network, {2, 4, 8});
  const CostTable cost = bops_table(network, space);
  for (const double budget : {0.12, 0.15, 0.2}) {
    GreedyOptions options;
    options.budget = budget;
    std::vector<BitConfig> moves;
    options.on_move = [&](const SearchPoint& point) { moves.push_back(point.config); };
    const GreedyResult result = greedy_search({space, cost}, made_up, options);
    CHECK(result.best.relative <= options.budget);
    std::size_t ups = 0;
    for (std::size_t i = 1; i < moves.size(); ++i) ups += cost.cost(moves[i]) > cost.cost(moves[i - 1]);
    MESSAGE(moves.size(), " moves, ", ups, " of them up, ", result.evaluations, " evaluations");
    CHECK(ups > 0);  // the walk goes both ways
    // Only the way down after a circle was seen may touch a state once more.
    for (const BitConfig& config : moves) CHECK(std::count(moves.begin(), moves.end(), config) <= 2);
    CHECK(moves.size() < 30);
  }
}

TEST_CASE("policy/greedy: a budget is met where fewer bits are not cheaper, and at the width that is asked for") {
  const ModelData model = synthetic_model();
  CostTable cost("ms", model.network, model.space);
  for (std::size_t l = 0; l < model.space.layers.size(); ++l)
    for (int w = 2; w <= 8; ++w)
      for (int a = 2; a <= 8; ++a)
        for (int blocks = 1; blocks <= model.space.layers[l].blocks; ++blocks)
          cost.at(static_cast<int>(l), w, a, blocks) = blocks * (w == 4 && a == 4 ? 0.5 : 1.0);  // one pair alone is fast
  DrawSpace from{model.space, cost};
  for (const LayerBits& layer : uniform_config(model.space, 8, 8, 0.5)) from.blocks.push_back(layer.active_blocks);
  GreedyOptions options;
  options.budget = from.relative(cheapest_config(from));
  CHECK(options.budget < from.relative(lowest_config(from)));
  const GreedyResult result = greedy_search(from, made_up, options);
  CHECK(result.best.relative <= options.budget);
  for (std::size_t l = 0; l < from.blocks.size(); ++l) CHECK(result.best.config[l].active_blocks == from.blocks[l]);
}

TEST_CASE("policy/greedy: no layer goes below the least bits that the caller allows") {
  const ModelData model = synthetic_model();
  const CostTable cost = bops_table(model.network, model.space);
  GreedyOptions options;
  options.budget = 0.3;
  DrawSpace from{model.space, cost, uniform_config(model.space, 2, 2)};
  from.least[1].weight = 4;
  from.least[2].activation = 8;
  std::vector<BitConfig> judged;
  const auto judge = [&](const BitConfig& config) {
    judged.push_back(config);
    return made_up(config);
  };
  greedy_search(from, judge, options);
  REQUIRE(judged.size() > 10);
  for (const BitConfig& config : judged) {
    CHECK(config[1].weight >= 4);
    CHECK(config[2].activation == 8);
  }
  options.budget = cost.cost(uniform_config(model.space, 2, 2)) / cost.reference();  // what the floor forbids
  CHECK_THROWS_AS(greedy_search(from, judge, options), Error);
}

TEST_CASE("policy/greedy: the engine's judge gives the mean loss of the pictures, whatever the threads") {
  const auto model = std::make_shared<const Model>(synthetic_model());
  auto samples = std::make_shared<std::vector<Sample>>();
  for (int i = 0; i < 9; ++i) {
    Random random(2, "greedy sample", static_cast<std::uint64_t>(i));
    Image image(12, 12, 1);
    for (auto& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
    Sample sample;
    sample.prepared = preprocess(image.view(), {1, 12, 12});
    sample.label = i % 5;
    samples->push_back(sample);
  }
  const BitConfig config = model->data().anchors[1].config;
  const SearchPoint one = engine_judge(model, samples, 1)(config), two = engine_judge(model, samples, 2)(config);
  CHECK(one.loss == doctest::Approx(two.loss));
  CHECK(one.accuracy == two.accuracy);
  CHECK(one.loss > 0);
}
