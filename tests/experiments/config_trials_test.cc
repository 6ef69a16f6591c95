#include "experiments/config_trials.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "experiments/finalists.h"

using namespace bitpilot;
using nlohmann::json;

TEST_CASE("experiments/config_trials: what the first configuration gains is its share of right answers less the mean share of the others") {
  // Four pictures; the first configuration is right on three of them, the others on one, none and two.
  const ConfigTrials trials{{{1, 1, 1, 0}, {1, 0, 0, 0}, {0, 0, 0, 0}, {0, 1, 1, 0}}, {0, 0, 0, 0}, {0, 1, 2, 3}};
  const json said = gain_over_random(trials, /*seed=*/1);
  CHECK(said["found"].get<double>() == doctest::Approx(0.75));
  CHECK(said["random_mean"].get<double>() == doctest::Approx(0.25));
  CHECK(said["random_best"].get<double>() == doctest::Approx(0.5));
  CHECK(said["images"] == 4);
  CHECK(said["gain"]["mean"].get<double>() == doctest::Approx(0.5));
  const double low = said["gain"]["ci95"][0], high = said["gain"]["ci95"][1];
  CHECK(low <= 0.5);
  CHECK(high >= 0.5);
  CHECK(low >= 0);      // of no picture less than nothing …
  CHECK(high <= 2. / 3 + 1e-9);  // … and of none more than two thirds
  CHECK(low < high);
  // What is worse than the mean of the others loses.
  const ConfigTrials worse{{{0, 0, 0, 0}, {1, 1, 0, 0}, {0, 1, 1, 0}}, {0, 0, 0}, {0, 1, 2, 3}};
  CHECK(gain_over_random(worse, 1)["gain"]["mean"].get<double>() == doctest::Approx(-0.5));
}

TEST_CASE("experiments/finalists: the least loss as integers wins, not the search's own favourite, and the correlation tells how far they agree") {
  std::vector<SearchPoint> finalists(3);
  for (std::size_t i = 0; i < 3; ++i) {
    finalists[i].config = BitConfig(1, {static_cast<int>(i) + 2, 8, 1});
    finalists[i].relative = 0.1 * static_cast<double>(i + 1);
    finalists[i].loss = 0.5 - 0.1 * static_cast<double>(i);
    finalists[i].accuracy = 0.7;
  }
  ConfigTrials integers{{{1, 0, 0, 0}, {1, 1, 1, 0}, {1, 1, 0, 0}}, {0.9, 0.2, 0.4}, {0, 1, 2, 3}};
  json record;
  const SearchPoint chosen = choose_finalist(finalists, integers, &record);
  CHECK((chosen.config == finalists[1].config));
  CHECK(chosen.relative == doctest::Approx(0.2));
  CHECK(chosen.loss == 0.2);
  CHECK(chosen.accuracy == 0.75);
  CHECK(record["loss"] == 0.2);
  CHECK(record["accuracy"] == 0.75);
  CHECK(record["loss_by_batch_statistics"].get<double>() == doctest::Approx(0.4));
  CHECK(record["images"] == 4);
  CHECK(record["finalists"].size() == 3);
  CHECK(record["finalists"][2]["loss"] == 0.4);
  CHECK(record["finalists"][2]["accuracy"] == 0.5);
  CHECK(record["finalists"][2]["loss_by_batch_statistics"].get<double>() == doctest::Approx(0.3));
  CHECK(record["kendall"].get<double>() == doctest::Approx(1. / 3));  // two pairs alike, one turned round
  integers.loss = {0.2, 0.4, 0.9};
  choose_finalist(finalists, integers, &record);
  CHECK(record["kendall"].get<double>() == doctest::Approx(-1));
}
