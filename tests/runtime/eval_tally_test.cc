#include "runtime/commands/eval_tally.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "runtime/commands/eval.h"
#include "runtime/core/error.h"
#include "tests/support/sample_model.h"

using bitpilot::EvalTally;

namespace {

const bitpilot::ModelData& model() {
  static const bitpilot::ModelData made = bitpilot::testing::sample_model(bitpilot::testing::sample_network());
  return made;
}

bitpilot::JudgedPicture judged(int label, int predicted, float confidence, double relative, const std::string& family,
                               int severity) {
  bitpilot::JudgedPicture picture;
  picture.frame.label = label;
  picture.frame.family = family;
  picture.frame.severity = severity;
  picture.decision.label = predicted;
  picture.decision.confidence = confidence;
  picture.decision.relative = relative;
  picture.decision.bops = relative * 1000;
  picture.decision.policy_bops = 10;
  const int bits = relative > 0.5 ? 8 : 2;
  const bitpilot::BitConfig config = bitpilot::uniform_config(model().space, bits, bits);
  picture.decision.looks.push_back({config, relative, confidence, predicted, bitpilot::find_anchor(model(), config)});
  picture.total_ms = relative * 10;
  return picture;
}

}  // namespace

TEST_CASE("commands/eval_tally: an interruption moves the mean time, not the typical one") {
  EvalTally tally(model(), {0, 1, 2, 3, 4});
  for (int i = 0; i < 6; ++i) {
    bitpilot::JudgedPicture picture = judged(0, 0, 0.9F, i < 3 ? 0.1 : 0.9, "clean", 0);  // 1 ms and 9 ms
    if (i == 0 || i == 3) picture.total_ms += 60;
    tally.add(picture);
  }
  const nlohmann::ordered_json record = tally.record();
  CHECK(record["latency_ms"]["typical"].get<double>() == doctest::Approx(5));
  CHECK(record["latency_ms"]["mean"].get<double>() == doctest::Approx(25));
}

TEST_CASE("commands/eval_tally: figures of a handful of pictures, worked out by hand") {
  EvalTally tally(model(), {0, 1, 2, 3, 4});
  tally.add(judged(0, 0, 0.9F, 0.1, "clean", 0));
  tally.add(judged(1, 1, 0.9F, 0.1, "clean", 0));
  tally.add(judged(2, 3, 0.9F, 0.1, "jpeg", 4));
  tally.add(judged(3, 3, 0.5F, 0.9, "jpeg", 4));
  const nlohmann::ordered_json record = tally.record();
  CHECK(record["accuracy"] == 0.75);
  CHECK(record["bops"]["mean"].get<double>() == doctest::Approx(300));
  CHECK(record["bops"]["relative"].get<double>() == doctest::Approx(0.3));
  CHECK(record["bops"]["policy"] == 10);
  CHECK(record["bops"]["p95"].get<double>() == doctest::Approx(900));
  CHECK(record["bops"]["max"].get<double>() == doctest::Approx(900));
  CHECK(record["bits"]["weight_mean"].get<double>() == doctest::Approx(3.5));
  CHECK(record["configs"][0]["config"] == "u2");
  CHECK(record["configs"][0]["share"] == 0.75);
  CHECK(record["by_family"]["jpeg"]["4"]["images"] == 2);
  CHECK(record["by_family"]["jpeg"]["4"]["accuracy"] == 0.5);
  CHECK(record["by_family"]["clean"]["0"]["relative"].get<double>() == doctest::Approx(0.1));
  // Three pictures at confidence 0.9, two of them right; one at 0.5, right: (|2.7 - 2| + |0.5 - 1|) / 4.
  CHECK(record["ece"].get<double>() == doctest::Approx(0.3));
  CHECK(record["latency_ms"]["p50"].get<double>() == doctest::Approx(1));
  CHECK(record["latency_ms"]["p99"].get<double>() == doctest::Approx(9));
}

TEST_CASE("commands/eval_tally: a picture without a label is refused") {
  EvalTally tally(model(), {0, 1});
  CHECK_THROWS_AS(tally.add(judged(-1, 0, 0.5F, 0.1, "clean", 0)), bitpilot::Error);
  CHECK_THROWS_AS(tally.add(judged(2, 0, 0.5F, 0.1, "clean", 0)), bitpilot::Error);
}

TEST_CASE("commands/eval_tally: Wilson's interval, against published values") {
  // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
  const auto near = [](std::uint64_t hits, std::uint64_t count, double low, double high) {
    const auto [got_low, got_high] = bitpilot::wilson_interval(hits, count);
    CHECK(got_low == doctest::Approx(low).epsilon(0.001));
    CHECK(got_high == doctest::Approx(high).epsilon(0.001));
  };
  near(81, 263, 0.2553, 0.3662);
  near(15, 148, 0.0624, 0.1605);
  near(1, 29, 0.0061, 0.1718);
  for (std::uint64_t count = 1; count <= 1000; ++count) {  // whatever the sums round to
    CHECK(bitpilot::wilson_interval(0, count).first == 0);
    CHECK(bitpilot::wilson_interval(count, count).second == 1);
  }
}

TEST_CASE("commands/eval: classes are matched by name, or by number where they have no names") {
  using bitpilot::match_classes;
  CHECK(match_classes({"b", "a"}, {"a", "b", "c"}) == std::vector<int>{1, 0});
  CHECK(match_classes({"0", "2"}, {"a", "b", "c"}) == std::vector<int>{0, 2});
  CHECK(match_classes({"2", "0"}, {"0", "1", "2"}) == std::vector<int>{2, 0});
  CHECK_THROWS_AS(match_classes({"0", "3"}, {"a", "b", "c"}), bitpilot::Error);
  CHECK_THROWS_AS(match_classes({"a", "d"}, {"a", "b", "c"}), bitpilot::Error);
  CHECK_THROWS_AS(match_classes({"0", "a"}, {"a", "b", "c"}), bitpilot::Error);
}
