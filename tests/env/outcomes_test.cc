#include "env/outcomes.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "tests/policy/synthetic_outcomes.h"
#include "tests/support/temporary_folder.h"

using namespace bitpilot;

namespace {

Sample random_sample(std::size_t i) {
  Random random(9, "outcome sample", i);
  Image image(12, 12, 1);
  for (auto& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
  Sample sample;
  sample.prepared = preprocess(image.view(), {1, 12, 12});
  sample.label = static_cast<int>(i % 5);
  sample.index = i;
  sample.family = i % 3 == 0 ? "clean" : "blur";
  sample.severity = static_cast<int>(i % 6);
  return sample;
}

}  // namespace

TEST_CASE("env/outcomes: the table does not depend on the number of threads and holds what the engine says") {
  const auto model = std::make_shared<const Model>(bitpilot::testing::synthetic_model());
  const OutcomeTable one = roll_out(model, 23, random_sample, 1), three = roll_out(model, 23, random_sample, 3);
  CHECK(one == three);
  CHECK(one.families == std::vector<std::string>{"blur", "clean"});
  Session session(model);
  for (const std::size_t i : {0UL, 11UL, 22UL}) {
    const Sample sample = random_sample(i);
    session.start(sample.prepared.codes);
    CHECK(std::ranges::equal(session.stem_sums(), one.stem_of(i)));
    CHECK(one.statistics_of(i).values == sample.prepared.statistics.values);
    CHECK(one.labels[i] == sample.label);
    CHECK(one.families[one.family[i]] == sample.family);
    for (std::size_t k = 0; k < one.anchors; ++k) {
      CHECK(std::ranges::equal(session.look_anchor(static_cast<int>(k)), one.scores_of(i, k)));
    }
  }
}

TEST_CASE("env/outcomes: a failing picture stops the roll-out with its own message") {
  const auto model = std::make_shared<const Model>(bitpilot::testing::synthetic_model());
  const SampleAt broken = [](std::size_t i) {
    if (i == 7) throw Error(ExitCode::kData, "picture 7 is broken", "here", "remove it");
    return random_sample(i);
  };
  CHECK_THROWS_WITH_AS(roll_out(model, 20, broken, 2), doctest::Contains("picture 7 is broken"), Error);
}

TEST_CASE("env/outcomes: the cache gives back the same table, and nothing for another key or a damaged file") {
  const bitpilot::testing::TemporaryFolder folder;
  const ModelData model = bitpilot::testing::synthetic_model();
  const OutcomeTable table = bitpilot::testing::synthetic_outcomes(model, 40);
  const std::string path = folder.path("table"), key = outcome_key(model, "test");
  OutcomeTable read;
  CHECK_FALSE(load_outcomes(path, key, read));
  save_outcomes(table, key, path);
  REQUIRE(load_outcomes(path, key, read));
  CHECK(read == table);
  CHECK_FALSE(load_outcomes(path, outcome_key(model, "other"), read));
  ModelData changed = model;
  changed.weights[2].codes[0] = static_cast<std::int8_t>(changed.weights[2].codes[0] ^ 1);
  CHECK(outcome_key(changed, "test") != key);
  ModelData calibrated = model;
  calibrated.anchors[0].temperature = 3;
  CHECK(outcome_key(calibrated, "test") == key);
  const std::string bytes = read_file(path);
  for (const std::size_t cut : {std::size_t{5}, std::size_t{30}, bytes.size() / 2, bytes.size() - 1}) {
    write_file_atomically(path, bytes.substr(0, cut));
    CHECK_FALSE(load_outcomes(path, key, read));
  }
}

TEST_CASE("env/outcomes: joining and cutting keep every row") {
  const ModelData model = bitpilot::testing::synthetic_model();
  const OutcomeTable table = bitpilot::testing::synthetic_outcomes(model, 30);
  CHECK(joined(table.rows(0, 12), table.rows(12, 30)) == table);
  OutcomeTable other = table;
  other.classes += 1;
  CHECK_THROWS_AS(joined(table, other), Error);
}

TEST_CASE("env/outcomes: a second look costs a whole pass without the stem") {
  const ModelData model = bitpilot::testing::synthetic_model();
  const CostTable cost = bops_table(model.network, model.space);
  const AnchorCosts costs = anchor_costs(model, cost);
  for (std::size_t k = 0; k < model.anchors.size(); ++k)
    CHECK(costs.first[k] - costs.second[k] == doctest::Approx(cost.stem_cost() / cost.reference()));
  CHECK(costs.first[2] == doctest::Approx(1.0));  // uniform 8-bit
}
