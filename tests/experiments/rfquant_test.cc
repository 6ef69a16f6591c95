#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "experiments/methods/method.h"
#include "quant/coupling.h"
#include "quant/training_loop.h"
#include "runtime/core/backbones.h"
#include "tests/support/toy_training.h"

using namespace bitpilot;
using nlohmann::json;

namespace {

/// The first stage of a toy network in the hands of RFQuant, without files and without a step.
struct Toy {
  static constexpr std::int64_t kEpochs = 16;
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {2, 3, 4, 8}, 8);
  QuantizedNetwork supernet{network, space, {{"full8", uniform_config(space, 8, 8)}, {"u2", uniform_config(space, 2, 2)}}, /*quantized=*/true, 7};
  std::unique_ptr<Method> method;
  TrainingOptions options;

  explicit Toy(json settings) {
    settings["name"] = "rfquant";
    settings["budget"] = 0;
    method = make_method(recipe_from_json({{"paths", {{{"name", "full8"}}, {{"name", "u2"}, {"weight", 2}}}}, {"supernet", {{"random_paths", 1}}}, {"method", settings}}, "test"));
    QuantizedNetwork start(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 3);
    supernet.start_from(start, bitpilot::testing::toy_pictures(40, 5).src);
    options.paths = {0};
    options.random_paths = 1;
    options.seed = 3;
    method->begin_stage(stage(), &options);
  }
  MethodStage stage() { return {"supernet", &supernet, 4, 4 * kEpochs, 0, 1}; }
  std::size_t layer(const std::string& name) const {
    for (int l = 0; l < network.layer_count(); ++l)
      if (network.layer(l).name == name) return static_cast<std::size_t>(l);
    FAIL("no layer ", name);
    return 0;
  }
};

constexpr std::uint64_t kDraws = 60;  // each layer has 2 bits in a quarter of them: in none with a chance of 3e-8

}  // namespace

TEST_CASE("experiments/rfquant: a free configuration imitates the widest path where its weights stand at their smallest, with the mitigation alone") {
  const Toy with(json{{"mitigation", true}}), without(json{{"mitigation", false}});
  for (const Toy* toy : {&with, &without}) {
    CHECK(toy->options.teaching == Teaching::kFirst);
    CHECK(toy->options.imitation == 0.01);
    std::vector<torch::Tensor> gradients{torch::tensor({-3.0F, 0.5F, 2.0F})};
    toy->options.shape_gradients(0, {}, &gradients);
    CHECK(torch::equal(gradients.front(), torch::tensor({-1.0F, 0.5F, 1.0F})));
  }
  std::size_t imitated = 0;
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const FreePath path = with.options.free_paths(i), plain = without.options.free_paths(i);
    CHECK((path.config == plain.config));
    CHECK((path.imitated == at_smallest(path.config, with.space)));
    CHECK(plain.imitated.empty());
    imitated += path.imitated.size();
  }
  CHECK(imitated > 0);
}

TEST_CASE("experiments/rfquant: the scheduler's frozen layers are drawn above 2 bits until it restores them, without it none is") {
  Toy with(json{{"scheduler", true}}), without(json{{"scheduler", false}});
  CHECK(with.method->end_epoch(with.stage(), 0).is_null());  // before the first event
  const json event = with.method->end_epoch(with.stage(), 1);
  CHECK(without.method->end_epoch(without.stage(), 1).is_null());
  REQUIRE(event.is_object());
  CHECK(event["turbulence"].size() == 8);
  REQUIRE(event["frozen"].size() == 4);  // half of the adaptive layers
  CHECK(event["restored"].empty());
  BitSpace left = with.space;
  for (const json& name : event["frozen"]) left.layers[with.layer(name)].bits = {3, 4, 8};
  std::vector<int> least(left.layers.size(), 8), least_without(least);
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const FreePath path = with.options.free_paths(i), free = without.options.free_paths(i);
    CHECK((path.imitated == at_smallest(path.config, left)));
    for (std::size_t l = 0; l < least.size(); ++l) {
      least[l] = std::min(least[l], path.config[l].weight);
      least_without[l] = std::min(least_without[l], free.config[l].weight);
    }
  }
  for (std::size_t l = 0; l < least.size(); ++l) {
    CHECK(least[l] == left.layers[l].bits.front());
    CHECK(least_without[l] == with.space.layers[l].bits.front());
  }
  // Nothing has moved: whoever lost 2 bits falls in the ranking by that alone, and who is frozen no more is told.
  const json next = with.method->end_epoch(with.stage(), 2);
  CHECK_FALSE(next["restored"].empty());
  for (const json& name : event["frozen"]) {
    const bool still = std::find(next["frozen"].begin(), next["frozen"].end(), name) != next["frozen"].end();
    const bool back = std::find(next["restored"].begin(), next["restored"].end(), name) != next["restored"].end();
    INFO(name);
    CHECK(still != back);
  }
}
