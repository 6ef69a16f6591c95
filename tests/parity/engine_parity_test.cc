#include <doctest/doctest.h>

#include <string>

#include "quant/integer_evaluation.h"
#include "runtime/engine/engine.h"
#include "runtime/kernels/kernels.h"
#include "tests/support/random_model.h"
#include "tests/support/trace_difference.h"

using namespace bitpilot;
using bitpilot::testing::first_difference;
using bitpilot::testing::RandomModel;
using bitpilot::testing::supported_kernels;

namespace {

constexpr int kModels = 300;
constexpr int kConfigs = 3;
constexpr int kPictures = 2;

struct Case {
  std::vector<std::uint8_t> pictures;
  std::size_t size = 0;
  std::span<const std::uint8_t> picture(int index) const {
    return std::span(pictures).subspan(static_cast<std::size_t>(index) * size, size);
  }
};

Case draw_pictures(RandomModel& random) {
  Case drawn;
  for (int p = 0; p < kPictures; ++p) {
    const std::vector<std::uint8_t> picture = random.picture();
    drawn.size = picture.size();
    drawn.pictures.insert(drawn.pictures.end(), picture.begin(), picture.end());
  }
  return drawn;
}

}  // namespace

TEST_CASE(
    "parity: every kernel set stores the codes and scores of the training side's evaluation, for any model and "
    "configuration") {
  const std::vector<const Kernels*> kernels = supported_kernels();
  std::size_t codes_compared = 0, inside = 0;
  for (int seed = 0; seed < kModels; ++seed) {
    RandomModel random(
        static_cast<std::uint64_t>(seed),
        {.large_zero_points = seed % 3 == 1, .plain_forms = seed % 3 == 2, .powers_of_two = seed % 4 == 3});
    const Case drawn = draw_pictures(random);
    std::vector<Session> sessions;
    for (const Kernels* one : kernels) sessions.emplace_back(std::make_shared<Model>(random.model(), one));
    for (int c = 0; c < kConfigs; ++c) {
      const BitConfig config = random.config();
      const IntegerEvaluation reference =
          evaluate_integer(random.model(), config, drawn.pictures, /*with_traces=*/true);
      for (std::size_t k = 0; k < kernels.size(); ++k)
        for (int p = 0; p < kPictures; ++p) {
          INFO("seed ", seed, ", ", std::string(kernels[k]->name), ", ", to_string(config, random.model().space),
               ", picture ", p);
          const std::vector<CodeTrace> trace = sessions[k].trace(drawn.picture(p), config);
          REQUIRE(first_difference(trace, reference.traces[static_cast<std::size_t>(p)]) == "");
          const std::span<const float> scores = sessions[k].look(config);
          REQUIRE(std::vector<float>(scores.begin(), scores.end()) == reference.scores[static_cast<std::size_t>(p)]);
          for (const CodeTrace& stored : trace)
            for (const std::uint8_t code : stored.codes) {
              ++codes_compared;
              inside += code != 0 && code != integer::unsigned_highest(stored.bits);
            }
        }
    }
  }
  // The comparison means something only where codes are not all clamped.
  CHECK(inside * 4 > codes_compared);
  MESSAGE(codes_compared, " codes compared, ", inside, " of them not clamped");
}

TEST_CASE("parity: rounding half up, a zero point off by one, unfolded gains and a border of zeros are each noticed") {
  const std::pair<IntegerMutation, const char*> mutations[] = {
      {IntegerMutation::kRoundHalfUp, "round half up"},
      {IntegerMutation::kZeroPointOffByOne, "zero point off by one"},
      {IntegerMutation::kNormalisationNotFolded, "normalisation not folded"},
      {IntegerMutation::kPaddedWithZero, "padded with zero"},
  };
  constexpr int kMutatedModels = 60;
  for (const auto& [mutation, name] : mutations) {
    int noticed = 0;
    for (int seed = 0; seed < kMutatedModels; ++seed) {
      RandomModel random(static_cast<std::uint64_t>(seed), {.large_zero_points = true, .powers_of_two = true});
      const Case drawn = draw_pictures(random);
      const BitConfig config = random.model().anchors[0].config;
      Session session(std::make_shared<Model>(random.model()));
      const std::vector<CodeTrace> trace = session.trace(drawn.picture(0), config);
      const auto differs = [&](IntegerMutation now) {
        return first_difference(trace,
                                evaluate_integer(random.model(), config, drawn.picture(0), true, now).traces[0]) != "";
      };
      REQUIRE_FALSE(differs(IntegerMutation::kNone));
      noticed += differs(mutation);
    }
    INFO(std::string(name));
    CHECK(noticed > 0);
    MESSAGE(std::string(name), ": noticed in ", noticed, " of ", kMutatedModels, " models");
  }
}

TEST_CASE("parity: a batch gives each picture the result that it has alone") {
  for (int seed = 0; seed < 30; ++seed) {
    RandomModel random(static_cast<std::uint64_t>(seed));
    const Case drawn = draw_pictures(random);
    const BitConfig config = random.config();
    const IntegerEvaluation batch = evaluate_integer(random.model(), config, drawn.pictures, true);
    for (int p = 0; p < kPictures; ++p) {
      const IntegerEvaluation alone = evaluate_integer(random.model(), config, drawn.picture(p), true);
      CHECK(alone.scores[0] == batch.scores[static_cast<std::size_t>(p)]);
      CHECK(first_difference(alone.traces[0], batch.traces[static_cast<std::size_t>(p)]) == "");
    }
  }
}
