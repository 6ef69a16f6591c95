#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "experiments/methods/method.h"
#include "quant/training_loop.h"
#include "runtime/core/backbones.h"
#include "runtime/core/cost.h"
#include "runtime/core/error.h"
#include "tests/support/toy_training.h"

using namespace bitpilot;
using nlohmann::json;
using torch::Tensor;

namespace {

constexpr int kSteps = 40;

Recipe recipe_with(const json& method) {
  return recipe_from_json({{"paths", {{{"name", "abs"}, {"weight", 4}}}}, {"policy", {{"enabled", false}}}, {"method", method}}, "test");
}

/// A toy network in the hands of a method: both stages, without files.
struct Toy {
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {4, 8}, 8);
  TrainingBatch batch = bitpilot::testing::toy_pictures(40, 5);
  QuantizedNetwork trained{network, space, {{"abs", uniform_config(space, 4, 4)}}, /*quantized=*/true, 7};
  std::unique_ptr<Method> method;

  explicit Toy(const json& settings) : method(make_method(recipe_with(settings))) {
    QuantizedNetwork start(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 3);
    trained.start_from(start, batch.src);
  }
  MethodStage stage(int number) { return {number == 0 ? "supernet" : "supernet2", &trained, kSteps / 4, kSteps, number, 2}; }
  void train(int number) {
    TrainingOptions options;
    options.learning_rate = 5e-3;
    method->begin_stage(stage(number), &options);
    TrainingLoop loop(&trained, nullptr, kSteps, options);
    for (int i = 0; i < kSteps; ++i) loop.step(batch, {});
  }
};

const json kDear{{"name", "abs"}, {"lambda", 3}, {"rate", 60}};

}  // namespace

TEST_CASE("experiments/abs: the search tells what it has found, and fine-tuning keeps to it") {
  Toy toy(kDear);
  toy.train(0);
  const json told = toy.method->end_epoch(toy.stage(0), 3);
  const CostTable bops = bops_table(toy.network, toy.space);
  CHECK(told["bops"].get<double>() < 0.5 * bops.reference());
  CHECK(told["layers"].size() == 8);
  toy.method->end_stage(toy.stage(0));
  TrainingOptions options;
  toy.method->begin_stage(toy.stage(1), &options);
  const Tensor found = toy.method->state().front().second.clone();
  for (int l = 0, row = 0; l < toy.network.layer_count(); ++l) {
    if (toy.network.fixed(l)) continue;
    const json& layer = told["layers"][static_cast<std::size_t>(row++)];
    CHECK(found[l][0].item<int>() == layer[0].get<int>());
    CHECK(found[l][1].item<int>() == layer[1].get<int>());
    CHECK(found[l][2].item<int>() == (layer.size() > 2 ? layer[2].get<int>() : toy.space.layers[l].blocks));
  }
  toy.train(1);
  CHECK(toy.method->end_epoch(toy.stage(1), 0).is_null());
  CHECK(torch::equal(toy.method->state().front().second, found));
}

TEST_CASE("experiments/abs: a run resumed in fine-tuning goes on with what its checkpoint found") {
  Toy toy(kDear);
  toy.train(0);
  toy.method->end_stage(toy.stage(0));
  TrainingOptions options;
  toy.method->begin_stage(toy.stage(1), &options);
  const Tensor scores = evaluate(&toy.trained, 0, toy.batch.src);
  // Another process: the search never ran, the checkpoint fills the network and the method's state.
  Toy resumed(kDear);
  resumed.method->begin_stage(resumed.stage(1), &options);
  CHECK_FALSE(torch::equal(evaluate(&resumed.trained, 0, toy.batch.src), scores));
  torch::NoGradGuard guard;
  const auto restore = [](const NamedTensors& from, const NamedTensors& to) {
    REQUIRE(from.size() == to.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      CHECK(from[i].first == to[i].first);
      to[i].second.detach().copy_(from[i].second.detach());
    }
  };
  restore(toy.trained.parameters(), resumed.trained.parameters());
  restore(toy.trained.buffers(), resumed.trained.buffers());
  restore(toy.method->state(), resumed.method->state());
  CHECK(torch::equal(evaluate(&resumed.trained, 0, toy.batch.src), scores));
}

TEST_CASE("experiments/abs: wrong settings are refused in one line") {
  CHECK_THROWS_WITH_AS(make_method(recipe_with({{"name", "abs"}, {"lambada", 1}})), doctest::Contains("lambda"), Error);
  CHECK_THROWS_WITH_AS(make_method(recipe_with({{"name", "abs"}, {"ladder", {2, 3}}})), doctest::Contains("[2, 4, 8]"), Error);
  Recipe mobile = recipe_with({{"name", "abs"}});
  mobile.backbone = "mobilenet_v2";
  CHECK_THROWS_WITH_AS(make_method(mobile), doctest::Contains("ReLU"), Error);
  for (const char* method : {"abs", "qgt"}) {
    Recipe policy = recipe_with({{"name", method}});
    CHECK_NOTHROW(make_method(policy));
    policy.policy.enabled = true;
    CHECK_THROWS_WITH_AS(make_method(policy), doctest::Contains("policy.enabled"), Error);
  }
  Recipe two = recipe_with({{"name", "abs"}});
  two.paths.push_back({"u8", 8, 8, 1, 1, {}});
  CHECK_THROWS_WITH_AS(make_method(two), doctest::Contains("one uniform path"), Error);
}
