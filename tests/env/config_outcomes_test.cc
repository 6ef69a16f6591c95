#include "env/config_outcomes.h"

#include <doctest/doctest.h>

#include "env/reward.h"
#include "runtime/core/error.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;

namespace {

Sample random_sample(std::size_t i) {
  Random random(9, "config outcome sample", i);
  Image image(12, 12, 1);
  for (auto& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
  Sample sample;
  sample.prepared = preprocess(image.view(), {1, 12, 12});
  sample.label = static_cast<int>(i % 5);
  return sample;
}

}  // namespace

TEST_CASE("env/config_outcomes: each picture runs its own configuration, whatever the number of threads") {
  const auto model = std::make_shared<const Model>(bitpilot::testing::synthetic_model());
  const ModelData& data = model->data();
  const CostTable cost = bops_table(data.network, data.space);
  constexpr std::size_t kPictures = 21;
  const OutcomeTable table = roll_out(model, kPictures, random_sample, 1);
  const auto config_of = [&](std::size_t i) -> const BitConfig& { return data.anchors[i % table.anchors].config; };
  const PictureOutcomes one = run_configs(model, cost, kPictures, random_sample, config_of, 1);
  const PictureOutcomes three = run_configs(model, cost, kPictures, random_sample, config_of, 3);
  CHECK(one.loss == three.loss);
  CHECK(one.correct == three.correct);
  for (std::size_t i = 0; i < kPictures; ++i) {
    const std::size_t anchor = i % table.anchors;
    CHECK(one.correct[i] == (table.correct(i, anchor) ? 1 : 0));
    CHECK(one.loss[i] == doctest::Approx(task_loss(table.scores_of(i, anchor), 1.0F, table.labels[i])));
    CHECK(one.relative[i] == doctest::Approx(cost.cost(data.anchors[anchor].config) / cost.reference()));
  }
  const auto broken = [](std::size_t i) {
    if (i == 7) throw Error(ExitCode::kData, "picture 7 is broken", "here", "remove it");
    return random_sample(i);
  };
  CHECK_THROWS_WITH_AS(run_configs(model, cost, kPictures, broken, config_of, 2), doctest::Contains("picture 7"), Error);
}
