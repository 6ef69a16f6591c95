#include "runtime/engine/step_numbers.h"

#include <doctest/doctest.h>

#include "runtime/core/backbones.h"
#include "runtime/engine/random_weights.h"

using namespace bitpilot;

TEST_CASE("engine: a step is bounded where no int32 and no carry code can leave int32 in units of its code") {
  StepNumbers numbers;
  numbers.multiplier = {0.01F, -0.4F, 0.0F};
  CHECK(stays_bounded(numbers, 0.0F, 1.0F));
  CHECK(stays_bounded(numbers, 0.3F, 1.0F));
  CHECK_FALSE(stays_bounded(numbers, 0.0F, 2.0F));
  CHECK_FALSE(stays_bounded(numbers, 1e7F, 1.0F));
  numbers.multiplier[1] = -0.6F;
  CHECK_FALSE(stays_bounded(numbers, 0.0F, 1.0F));
  CHECK(stays_bounded(numbers, 0.0F, 0.5F));
}

TEST_CASE("engine/step_numbers: folds that are kept give every configuration the numbers that fresh ones do") {
  const ModelData model = random_weights(resnet8({3, 16, 16}, 10));
  const std::vector<FusedStep> steps = fuse(model.network);
  std::vector<BitConfig> configs;
  for (const Anchor& anchor : model.anchors) configs.push_back(anchor.config);
  for (const double width : {1.0, 0.5, 0.25}) configs.push_back(uniform_config(model.space, 5, 3, width));
  configs.push_back(configs.back());
  configs.back()[3].weight = 6;
  FoldCache kept;
  for (int round = 0; round < 2; ++round)
    for (const BitConfig& config : configs) {
      FoldCache fresh;
      const std::vector<StepNumbers> expected = resolve(model, steps, config, fresh), got = resolve(model, steps, config, kept);
      REQUIRE(got.size() == expected.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        INFO("step ", i, ", ", to_string(config, model.space));
        CHECK((got[i].bias == expected[i].bias));
        CHECK((got[i].multiplier == expected[i].multiplier));
        CHECK((got[i].outputs == expected[i].outputs));
        CHECK(got[i].active_in == expected[i].active_in);
        CHECK(got[i].active_out == expected[i].active_out);
      }
    }
}
