#include "policy/integer_program.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "runtime/core/backbones.h"
#include "runtime/core/error.h"

using namespace bitpilot;

namespace {

constexpr int kLadder[] = {2, 4, 8};

struct Four {
  Network network;
  BitSpace space;
  CostTable cost;
};

Four four_layers() {
  Network network;
  network.name = "four";
  int x = network.relu(network.conv("stem", network.input({1, 8, 8}), 8, 3));
  for (const char* name : {"a", "b", "c", "d"}) x = network.relu(network.conv(name, x, 8, 3));
  network.linear("classifier", network.global_avg_pool(x), 4);
  network.finish();
  BitSpace space = make_bit_space(network, {2, 4, 8});
  CostTable cost = bops_table(network, space);
  return {std::move(network), std::move(space), std::move(cost)};
}

/// Additive over the layers, with sensitivities of their own to weights and to activations.
double additive_loss(const BitConfig& config) {
  constexpr double kWeights[] = {0, 0.3, 1.0, 0.1, 0.4}, kActivations[] = {0, 0.5, 0.2, 0.6, 0.1};
  double loss = 0.2;
  for (std::size_t l = 1; l <= 4; ++l) loss += kWeights[l] / config[l].weight + kActivations[l] / config[l].activation;
  return loss;
}

SearchPoint judged(const BitConfig& config) {
  SearchPoint point;
  point.loss = additive_loss(config);
  point.accuracy = 1 - point.loss / 4;
  return point;
}

}  // namespace

TEST_CASE("policy/sensitivity: only it, and all but it, are lowered") {
  const Four four = four_layers();
  const Sensitivity sensitivity = measure_sensitivity({four.space, four.cost}, judged);
  REQUIRE(sensitivity.layers.size() == 4);
  for (const LayerSensitivity& layer : sensitivity.layers) {
    CHECK(layer.only.size() == 9);
    for (std::size_t l = 1; l <= 4; ++l) {
      const bool own = static_cast<int>(l) == layer.layer;
      CHECK(layer.lowest.config[l].weight == (own ? 2 : 8));
      CHECK(layer.all_but.config[l].activation == (own ? 8 : 2));
    }
    CHECK(layer.lowest.loss > sensitivity.highest.loss);
    CHECK(layer.all_but.loss < sensitivity.lowest.loss);
  }
  // With additive losses a layer loses alone what sparing it wins back.
  const nlohmann::json record = sensitivity_json(sensitivity, four.network, four.space);
  for (const auto& layer : record["layers"])
    CHECK(layer["loss_of_lowering"].get<double>() == doctest::Approx(layer["loss_won_by_sparing"].get<double>()));
  CHECK(record["layers"][1]["name"] == "b");
}

TEST_CASE("policy/integer_program: the optimum of all 6,561 configurations, at every budget") {
  const Four four = four_layers();
  const Sensitivity sensitivity = measure_sensitivity({four.space, four.cost}, judged);
  for (const double budget : {0.12, 0.2, 0.35, 0.6, 1.0}) {
    double best = 1e9;
    for (int code = 0; code < 6561; ++code) {
      BitConfig config = uniform_config(four.space, 8, 8);
      int rest = code;
      for (std::size_t l = 1; l <= 4; ++l) {
        config[l].weight = kLadder[rest % 3];
        config[l].activation = kLadder[rest / 3 % 3];
        rest /= 9;
      }
      if (four.cost.cost(config) / four.cost.reference() <= budget) best = std::min(best, additive_loss(config));
    }
    const SearchPoint found = solve_bits(sensitivity, {four.space, four.cost}, budget);
    CAPTURE(budget);
    CHECK(found.relative <= budget + 1e-9);
    CHECK(found.loss == doctest::Approx(best));
    CHECK(additive_loss(found.config) == doctest::Approx(found.loss));
  }
}

TEST_CASE("policy/integer_program: a budget below the lowest configuration is wrong usage") {
  const Four four = four_layers();
  const Sensitivity sensitivity = measure_sensitivity({four.space, four.cost}, judged);
  try {
    solve_bits(sensitivity, {four.space, four.cost}, sensitivity.lowest.relative * 0.9);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kUsage);
    CHECK(std::string(error.what()).find(at_least(sensitivity.lowest.relative)) != std::string::npos);
  }
}

TEST_CASE("policy/integer_program: in a narrow space every configuration is narrow and the optimum is that space's own") {
  const Network network = resnet8({1, 12, 12}, 5, 16);
  const BitSpace space = make_bit_space(network, {2, 4, 8}, 8);
  const CostTable cost = bops_table(network, space);
  DrawSpace from{space, cost};
  for (const LayerBits& layer : uniform_config(space, 8, 8, 0.5)) from.blocks.push_back(layer.active_blocks);
  int asked = 0;
  const auto judge = [&](const BitConfig& config) {
    ++asked;
    for (std::size_t l = 0; l < config.size(); ++l) CHECK(config[l].active_blocks == from.blocks[l]);
    SearchPoint point;
    for (const LayerBits& layer : config) point.loss += 1.0 / layer.weight + 1.0 / layer.activation;
    return point;
  };
  const Sensitivity sensitivity = measure_sensitivity(from, judge);
  CHECK(asked > 10);
  const SearchPoint found = solve_bits(sensitivity, from, from.relative(highest_config(from)));
  CHECK((found.config == highest_config(from)));
  CHECK(found.relative < 0.5);
}
