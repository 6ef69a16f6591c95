#include "experiments/rival_record.h"

#include <doctest/doctest.h>

#include <numeric>

#include "env/reward.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using nlohmann::json;

namespace {

constexpr std::size_t kPictures = 160;

std::shared_ptr<const ImageSet> noise_pictures(std::uint64_t seed) {
  auto set = std::make_shared<MemoryImageSet>();
  set->set_name = "noise";
  for (int c = 0; c < 5; ++c) set->label_names.push_back("class " + std::to_string(c));
  for (std::size_t i = 0; i < kPictures; ++i) {
    Random random(seed, "noise picture", i);
    Image image(12, 12, 1);
    for (auto& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
    set->images.push_back(std::move(image));
    set->image_labels.push_back(static_cast<int>(random.below(5)));
  }
  return set;
}

/// A run without a folder: an untrained network on pictures of noise.  The book-keeping is the same.
RivalGround small_ground() {
  const auto model = std::make_shared<const Model>(bitpilot::testing::synthetic_model());
  const ModelData& data = model->data();
  const CostTable bops = bops_table(data.network, data.space);
  Recipe recipe;
  recipe.policy.draws = 2;
  const DataSplits splits{"noise", noise_pictures(1), noise_pictures(2), noise_pictures(3), noise_pictures(4), {}};
  RivalGround ground{"", recipe, splits, model, bops, anchor_costs(data, bops), {}, 0.5, 0.3, 0.001, 1, "", {}, {}, {}};
  for (const Anchor& anchor : data.anchors) ground.temperatures.push_back(anchor.temperature);
  const auto known = [&](const std::shared_ptr<const ImageSet>& set, const char* purpose) {
    const Draws draws = draws_of(recipe, data, set, purpose, recipe.policy.draws);
    return KnownPictures{roll_out(model, draws.count, draws.at, 1), draws.at};
  };
  ground.policy = known(splits.policy, "policy");
  ground.check = ground.judge = known(splits.validation, "validation");
  return ground;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

TEST_CASE("experiments/rival_record: choices are billed for both looks and the policy, and their reward follows from the table") {
  const RivalGround ground = small_ground();
  const OutcomeTable& table = ground.judge.table;
  std::vector<PolicyChoice> choices(table.size(), PolicyChoice{0, -1, false});
  for (std::size_t i = 0; i < choices.size(); i += 2) choices[i].second = 2;
  constexpr double kPolicyCost = 0.02;
  const PictureOutcomes outcomes = outcomes_of(ground, table, choices, kPolicyCost);
  const AnchorCosts& costs = ground.costs;
  CHECK(outcomes.relative[0] == doctest::Approx(kPolicyCost + costs.first[0] + costs.second[2]));
  CHECK(outcomes.relative[1] == doctest::Approx(kPolicyCost + costs.first[0]));
  CHECK(outcomes.correct[0] == table.correct(0, 2));
  CHECK(outcomes.correct[1] == table.correct(1, 0));
  double reward = 0;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const std::size_t last = i % 2 == 0 ? 2 : 0;
    reward -= task_loss(table.scores_of(i, last), ground.temperatures[last], table.labels[i]) + ground.lambda * outcomes.relative[i];
  }
  CHECK(ground.reward(outcomes) == doctest::Approx(reward / static_cast<double>(choices.size())));
}

TEST_CASE("experiments/rival_record: a static rival is judged at its own cost on all sets, against mixes that cost the same") {
  const RivalGround ground = small_ground();
  constexpr std::size_t kU4 = 1;
  LearnedRival rival;
  rival.decide = [&](const KnownPictures& pictures) {
    return outcomes_of(ground, pictures.table, std::vector<PolicyChoice>(pictures.table.size(), PolicyChoice{kU4, -1, false}), 0);
  };
  const json record = rival_record(ground, {"fixed", 0, 7}, rival);
  CHECK(record["schema"] == "bitpilot.rival/1");
  CHECK(record["method"] == "fixed");
  CHECK(record["seed"] == 7);
  for (const char* name : {"seen", "held_out", "clean"}) {
    INFO(std::string(name));
    const json& set = record["sets"][name];
    CHECK(set["images"] == kPictures);
    CHECK(set["relative"].get<double>() == doctest::Approx(ground.costs.first[kU4]));
    CHECK(set["accuracy_ci95"][0] < set["accuracy"]);
    CHECK(set["accuracy_ci95"][1] > set["accuracy"]);
    CHECK(set["hull"]["gain"]["mean"].get<double>() <= 1e-12);  // an anchor is on its own hull or below it
    CHECK(set["hull"]["accuracy"].get<double>() + set["hull"]["gain"]["mean"].get<double>() ==
          doctest::Approx(set["accuracy"].get<double>()));
    CHECK(set["cascade"]["relative"].get<double>() <= ground.costs.first[kU4] * (1 + 1e-9));
    CHECK(set["random_bits"]["relative"].get<double>() == doctest::Approx(ground.costs.first[kU4]).epsilon(0.1));
    CHECK(set["random_bits"]["accuracy"].get<double>() + set["random_bits"]["gain"]["mean"].get<double>() ==
          doctest::Approx(set["accuracy"].get<double>()));
  }
  CHECK(record["validation"]["images"] == 2 * kPictures);
}

TEST_CASE("experiments/rival_learners: nobody beats the oracle where the rules are fitted, evaluations are counted, curves are in order") {
  RivalGround ground = small_ground();
  ground.judge = ground.policy;  // what was fitted is what is judged
  const double oracle = ground.reward(learn_rival(ground, {"oracle"}).decide(ground.judge));
  const LearnedRival cascade = learn_rival(ground, {"cascade"}), ppo = learn_rival(ground, {"ppo", 6000});
  const double by_cascade = ground.reward(cascade.decide(ground.judge));
  CHECK(by_cascade < oracle);
  // The rule's confidence is billed whether it looks twice or not.
  const double confidence = confidence_bops(static_cast<std::size_t>(ground.data().network.classes())) / ground.bops.reference();
  for (std::size_t k = 0; k < ground.costs.first.size(); ++k) {
    const std::vector<PolicyChoice> fixed(ground.judge.table.size(), PolicyChoice{static_cast<int>(k), -1, false});
    CHECK(ground.reward(outcomes_of(ground, ground.judge.table, fixed, confidence)) <= by_cascade + 1e-9);
  }
  CHECK(cascade.evaluations == static_cast<std::int64_t>(ground.policy.table.size() * ground.policy.table.anchors));
  CHECK(ppo.evaluations >= 6000);
  REQUIRE(ppo.curve.size() >= 3);
  for (std::size_t p = 1; p < ppo.curve.size(); ++p) {
    CHECK(ppo.curve[p]["evaluations"] > ppo.curve[p - 1]["evaluations"]);
    CHECK(ppo.curve[p]["seconds"] > ppo.curve[p - 1]["seconds"]);
    CHECK(ppo.curve[p]["reward"] < oracle);
  }
  // The passes that the table answered are paid for.
  CHECK(ppo.seconds >= ground.pass_seconds * static_cast<double>(ppo.evaluations));
  const PictureOutcomes random = learn_rival(ground, {"random"}).decide(ground.judge);
  CHECK(mean(random.relative) == doctest::Approx(ground.budget).epsilon(0.1));
}
