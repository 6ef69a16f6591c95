#include "policy/genetic.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "policy/taught_predictor.h"
#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "runtime/core/random.h"

using namespace bitpilot;

namespace {

struct Setting {
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {2, 3, 4, 8}, 8);
  CostTable cost = bops_table(network, space);
  DrawSpace all{space, cost, {}};
  double relative(const BitConfig& config) const { return cost.cost(config) / cost.reference(); }
};

/// Accuracy that falls with each layer's own sensitivity; pairs of neighbours make each other worse.
SearchPoint made_up(const BitConfig& config) {
  SearchPoint point;
  double harm = 0, before = 0;
  for (std::size_t l = 1; l + 1 < config.size(); ++l) {
    const double sensitivity = 0.02 + 0.03 * static_cast<double>(l * 7 % 5);
    const double now = sensitivity * (4 * std::exp2(-config[l].weight) + 2 * std::exp2(-config[l].activation));
    harm += now + 3 * now * before;
    before = now;
  }
  point.accuracy = 0.9 - harm;
  point.loss = harm;
  return point;
}

std::vector<double> predicted(const std::vector<BitConfig>& configs) {
  std::vector<double> values;
  for (const BitConfig& config : configs) values.push_back(made_up(config).accuracy);
  return values;
}

}  // namespace

TEST_CASE("policy/genetic: the result keeps the budget and is no worse than the best of 200 random configurations") {
  const Setting setting;
  for (const double budget : {0.09, 0.2}) {
    GeneticOptions options;
    options.budget = budget;
    options.generations = 30;
    const GeneticResult result = genetic_search(setting.all, predicted, made_up, options);
    double best = 1e9;
    for (const BitConfig& config : random_configs_at(setting.all, budget, 0.1, 200, 3)) best = std::min(best, made_up(config).loss);
    CHECK(result.best.loss <= best);
    CHECK(result.remeasured.size() == 10);
    for (const SearchPoint& point : result.remeasured) CHECK(setting.relative(point.config) <= budget);
    CHECK(std::is_sorted(result.predicted.rbegin(), result.predicted.rend()));
    check_config(setting.network, setting.space, result.best.config);
  }
}

TEST_CASE("policy/genetic: by a predictor that errs, too, the result is no worse than the best of 200 random configurations of its own cost") {
  const Setting setting;
  for (const double budget : {0.09, 0.2}) {
    INFO("budget ", budget);
    GeneticOptions options;
    options.budget = budget;
    options.generations = 30;
    double mean = 0, square = 0;
    constexpr int kDrawn = 200;
    for (const BitConfig& config : random_configs_at(setting.all, budget, 0.02, kDrawn, 4)) {
      const double accuracy = made_up(config).accuracy;
      mean += accuracy / kDrawn;
      square += accuracy * accuracy / kDrawn;
    }
    // It errs by half of what configurations of one cost differ by, about each of them in its own way, the same at every asking.
    const double error = 0.5 * std::sqrt(square - mean * mean);
    const ConfigPredictor erring = [error](const std::vector<BitConfig>& configs) {
      std::vector<double> values = predicted(configs);
      for (std::size_t i = 0; i < configs.size(); ++i) {
        std::uint64_t key = 0;
        for (const LayerBits& bits : configs[i]) key = key * 81 + static_cast<std::uint64_t>(9 * bits.weight + bits.activation);
        values[i] += error * Random(1, "a predictor's error", key).normal();
      }
      return values;
    };
    const GeneticResult result = genetic_search(setting.all, erring, made_up, options);
    double best = 1e9;
    for (const BitConfig& config : random_configs_at(setting.all, setting.relative(result.best.config), 0.02, kDrawn, 3))
      best = std::min(best, made_up(config).loss);
    MESSAGE("loss ", result.best.loss, ", the best of the random ones ", best);
    CHECK(result.best.loss <= best);
  }
}

TEST_CASE("policy/genetic: the measured best wins, not the best promise; a seed gives one result; too small a budget is refused") {
  const Setting setting;
  GeneticOptions options;
  options.generations = 5;
  // A predictor that has it backwards: what is judged best is the last of its ten.
  const ConfigPredictor backwards = [](const std::vector<BitConfig>& configs) {
    std::vector<double> values = predicted(configs);
    for (double& value : values) value = -value;
    return values;
  };
  const GeneticResult result = genetic_search(setting.all, backwards, made_up, options);
  for (const SearchPoint& point : result.remeasured) CHECK(result.best.loss <= point.loss);
  CHECK(result.best.loss < result.remeasured.front().loss);
  CHECK((genetic_search(setting.all, backwards, made_up, options).best.config == result.best.config));
  options.budget = 0.05;
  int predictions = 0;
  const ConfigPredictor counting = [&](const std::vector<BitConfig>& configs) {
    ++predictions;
    return predicted(configs);
  };
  try {
    genetic_search(setting.all, counting, made_up, options);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kUsage);
    const std::string least = at_least(setting.relative(cheapest_config(setting.all)));
    CHECK(std::string(error.what()).find("at least " + least) != std::string::npos);
    CHECK(predictions == 0);
    options.budget = std::stod(least);
    CHECK(genetic_search(setting.all, counting, made_up, options).best.relative <= options.budget);  // what the message names suffices
  }
}

TEST_CASE("policy/budget_configs: random configurations cost what was asked, are different and respect the least bits") {
  const Setting setting;
  DrawSpace from = setting.all;
  from.least = uniform_config(setting.space, 3, 2);
  const std::vector<BitConfig> configs = random_configs_at(from, 0.15, 0.02, 30, 1);
  REQUIRE(configs.size() == 30);
  for (std::size_t i = 0; i < configs.size(); ++i) {
    CHECK(setting.relative(configs[i]) <= 0.15);
    CHECK(setting.relative(configs[i]) >= 0.98 * 0.15);
    check_config(setting.network, setting.space, configs[i]);
    for (const LayerBits& bits : configs[i]) CHECK(bits.weight >= 3);
    for (std::size_t j = 0; j < i; ++j) CHECK_FALSE((configs[i] == configs[j]));
  }
  CHECK_THROWS_AS(random_configs_at(from, 0.05, 0.02, 1, 1), Error);
}

TEST_CASE("policy/accuracy_predictor: it ranks unseen configurations, also among those of like cost, and better than mean bits do") {
  const Setting setting;
  const std::vector<BitConfig> configs = spread_configs(setting.all, 1000, 5);
  std::vector<Subnet> subnets;
  std::vector<double> accuracies;
  for (const BitConfig& config : configs) {
    subnets.push_back({config, {}});
    accuracies.push_back(made_up(config).accuracy);
  }
  const AccuracyPredictor predictor({subnets.begin(), subnets.begin() + 800}, {accuracies.begin(), accuracies.begin() + 800}, {});
  const std::vector<double> guessed = predictor.predict({subnets.begin() + 800, subnets.end()});
  const std::vector<double> real(accuracies.begin() + 800, accuracies.end());
  std::vector<double> trivial;
  for (std::size_t i = 800; i < configs.size(); ++i) trivial.push_back(mean_bits(configs[i], setting.space));
  const double tau = kendall(guessed, real), of_bits = kendall(trivial, real);
  std::vector<Subnet> like;
  std::vector<double> of_like;
  for (const BitConfig& config : random_configs_at(setting.all, 0.2, 0.18, 200, 9)) {  // within 10 % of 0.18
    like.push_back({config, {}});
    of_like.push_back(made_up(config).accuracy);
  }
  const double inside = kendall(predictor.predict(like), of_like);
  MESSAGE("Kendall: predictor ", tau, ", mean bits ", of_bits, ", inside a band of cost ", inside);
  CHECK(tau >= 0.8);
  CHECK(tau > of_bits);
  CHECK(inside >= 0.5);
}

TEST_CASE("policy/taught_predictor: it learns the loss, its report compares it with mean bits, and it warns when it ranks worse") {
  const Setting setting;
  JudgedSubnets lessons, tested;
  for (const BitConfig& config : spread_configs(setting.all, 500, 7)) {
    SearchPoint judged = made_up(config);
    judged.accuracy = std::round(judged.accuracy * 50) / 50;  // counted on few pictures
    (lessons.subnets.size() < 400 ? lessons : tested).add({config, {}}, judged, setting.cost.cost(config));
  }
  const TaughtPredictor taught = teach_predictor(lessons, tested, setting.space, {});
  const PredictorReport& report = taught.report;
  CHECK(report.taught == 400);
  CHECK(report.tested == 100);
  CHECK(report.accuracy.loss.kendall > 0.9);
  CHECK(report.accuracy.loss.kendall < 1);  // ties
  CHECK(report.loss.learned.kendall > report.loss.mean_bits.kendall);
  CHECK(report.loss.learned.in_bands.kendall > report.loss.mean_bits.in_bands.kendall);
  CHECK(report.loss.learned.in_bands.pairs > 50);
  CHECK(report.loss.learned.in_bands.pairs < 100 * 99 / 2);
  CHECK(predictor_warning(report).empty());
  std::vector<double> sureness;
  for (const double loss : tested.losses) sureness.push_back(-loss);
  const std::vector<double> guessed = taught.predictor.predict(tested.subnets);
  CHECK(kendall(guessed, sureness) == doctest::Approx(report.loss.learned.kendall));
  CHECK(kendall(guessed, tested.accuracies) == doctest::Approx(report.accuracy.learned.kendall));
  PredictorReport worse = report;
  std::swap(worse.loss.learned.in_bands, worse.loss.mean_bits.in_bands);  // better over all pairs, worse among those of like cost
  CHECK(predictor_warning(worse).find("mean bits") != std::string::npos);
  worse = report;
  std::swap(worse.loss.learned.kendall, worse.loss.mean_bits.kendall);
  CHECK(predictor_warning(worse).find("mean bits") != std::string::npos);
}

TEST_CASE("policy/accuracy_predictor: the Form is seen, and Kendall's correlation counts ties for neither side") {
  const Setting setting;
  std::vector<Subnet> subnets;
  std::vector<double> accuracies;
  for (const BitConfig& config : spread_configs(setting.all, 60, 2))
    for (const Granularity granularity : {Granularity::kTensor, Granularity::kChannel})
      for (const Symmetry symmetry : {Symmetry::kSymmetric, Symmetry::kAsymmetric}) {
        subnets.push_back({config, {granularity, symmetry}});
        accuracies.push_back(0.7 + (granularity == Granularity::kChannel ? 0.1 : 0) + (symmetry == Symmetry::kAsymmetric ? 0.05 : 0));
      }
  PredictorOptions options;
  options.hidden = {32};
  const AccuracyPredictor predictor(subnets, accuracies, options);
  const std::vector<double> guessed = predictor.predict(subnets);
  constexpr double kWithin = 0.02;  // less than half of what either part of the Form is worth
  double by_form[4] = {};
  for (std::size_t i = 0; i < guessed.size(); ++i) by_form[i % 4] += guessed[i] / 60;
  for (std::size_t form = 0; form < 4; ++form) CHECK(std::abs(by_form[form] - accuracies[form]) < kWithin);
  CHECK(kendall({1, 2, 3, 4}, {1, 2, 3, 4}) == doctest::Approx(1));
  CHECK(kendall({1, 2, 3, 4}, {4, 3, 2, 1}) == doctest::Approx(-1));
  CHECK(kendall({1, 1, 2}, {1, 2, 3}) == doctest::Approx(2 / std::sqrt(6.0)));
  CHECK(kendall({1, 1, 1}, {1, 2, 3}) == 0);
}

TEST_CASE("policy/accuracy_predictor: in bands of cost only pairs of like cost count, and mean bits leave fixed layers out") {
  // Over all pairs the first ranking is perfect; among those of like cost it has one pair right and one wrong.
  const std::vector<double> guessed{1, 2, 11, 12}, real{1, 2, 12, 11}, cost{1, 1.09, 5, 5.5};
  const BandedCorrelation bands = kendall_in_bands(guessed, real, cost);
  CHECK(bands.pairs == 2);
  CHECK(bands.kendall == doctest::Approx(0));
  CHECK(kendall(guessed, real) == doctest::Approx(4.0 / 6));
  CHECK(kendall_in_bands(guessed, real, {1, 1.2, 5, 6}).pairs == 0);
  CHECK(kendall_in_bands(guessed, real, {1, 1.2, 5, 6}, 0.25).pairs == 2);
  const Setting setting;
  CHECK(mean_bits(uniform_config(setting.space, 2, 4), setting.space) == doctest::Approx(3));
}
