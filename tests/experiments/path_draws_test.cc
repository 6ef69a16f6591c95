#include "experiments/path_draws.h"

#include <doctest/doctest.h>

#include "runtime/core/backbones.h"
#include "runtime/core/random.h"

using namespace bitpilot;
using torch::Tensor;

namespace {

constexpr int kPictures = 120, kClasses = 5;

enum Kind { kHard = 0, kMiddling = 1, kEasy = 2 };

struct Setting {
  Network network = resnet8({1, 12, 12}, kClasses, 16);
  BitSpace space = make_bit_space(network, {2, 4, 8}, 8);
  std::vector<PathSpec> paths{{"u4", uniform_config(space, 4, 4)}, {"u2", uniform_config(space, 2, 2)}, {"u8", uniform_config(space, 8, 8)}};
  std::vector<Tensor> scores;  ///< of u4, u2, u8
  Tensor labels = torch::empty({kPictures}, torch::kLong);

  /// Of three pictures one is hard (u2 hesitates and is wrong), one is middling (u2 is right but more or less unsure), one is easy for
  /// all.  u4 and u8 are right and sure.
  Setting() {
    for (std::size_t p = 0; p < paths.size(); ++p) scores.push_back(torch::zeros({kPictures, kClasses}));
    Random random(3, "path draws test");
    for (int i = 0; i < kPictures; ++i) {
      const auto label = static_cast<int>(random.below(kClasses));
      labels[i] = label;
      for (std::size_t p = 0; p < paths.size(); ++p) {
        scores[p][i] = 0.2 * random.normal();
        scores[p][i][label] = 6;
      }
      if (i % 3 == kEasy) continue;
      scores[1][i][label] = i % 3 == kHard ? 1.0 : random.uniform(1.8, 4.5);
      scores[1][i][(label + 1) % kClasses] = 1.5;
    }
  }
  PathShares shares(const PathDrawOptions& options = {}) const { return policy_path_shares(network, space, paths, options); }
};

double mean_of(const Tensor& shares, int path, Kind kind) {
  double sum = 0;
  for (int i = kind; i < kPictures; i += 3) sum += shares[path][i].item<double>();
  return sum / (kPictures / 3);
}

}  // namespace

TEST_CASE("experiments/path_draws: a picture's shares sum to 1, and every path keeps its part of every picture") {
  const Setting setting;
  for (const double coverage : {0.1, 0.4, 1.0}) {
    PathDrawOptions options;
    options.coverage = coverage;
    for (std::int64_t step = 0; step < 5; ++step) {
      const Tensor shares = setting.shares(options)(step, setting.scores, setting.labels);
      REQUIRE(shares.sizes() == torch::IntArrayRef({3, kPictures}));
      CHECK((shares.sum(0) - 1).abs().max().item<double>() < 1e-5);
      CHECK(shares.min().item<double>() >= coverage / 3 - 1e-6);
    }
  }
}

TEST_CASE("experiments/path_draws: hard pictures train the dearer path, easy ones the cheap one") {
  const Setting setting;
  Tensor shares = torch::zeros({3, kPictures});
  for (std::int64_t step = 0; step < 10; ++step) shares += setting.shares()(step, setting.scores, setting.labels) / 10;
  CHECK(mean_of(shares, 1, kEasy) > 0.8);  // u2 stops
  CHECK(mean_of(shares, 0, kHard) > 0.5);   // u4 has the last word
  CHECK(mean_of(shares, 0, kHard) > mean_of(shares, 0, kEasy) + 0.4);
  CHECK(mean_of(shares, 0, kMiddling) > mean_of(shares, 0, kEasy));
  CHECK(mean_of(shares, 0, kMiddling) < mean_of(shares, 0, kHard));
  CHECK(mean_of(shares, 2, kHard) < 0.1);  // u8 is no better than u4 and dearer: the floor alone
}

TEST_CASE("experiments/path_draws: the dearer second looks get, the fewer there are") {
  const Setting setting;
  double before = 2;
  for (const double lambda : {0.05, 2.0, 100.0}) {
    PathDrawOptions options;
    options.lambda_low = lambda;
    options.lambda_high = lambda * 1.01;
    const Tensor shares = setting.shares(options)(0, setting.scores, setting.labels);
    const double dear = 1 - mean_of(shares, 1, kHard);
    CHECK(dear <= before + 1e-6);
    before = dear;
  }
  CHECK(before < 0.1);  // at a hundred nobody looks twice
}

TEST_CASE("experiments/path_draws: shares follow from seed, step and scores, and from nothing else") {
  const Setting setting;
  const PathShares first = setting.shares(), again = setting.shares();
  const Tensor shares = first(4, setting.scores, setting.labels);
  first(9, setting.scores, setting.labels);
  CHECK(torch::equal(first(4, setting.scores, setting.labels), shares));
  CHECK(torch::equal(again(4, setting.scores, setting.labels), shares));
  PathDrawOptions options;
  options.seed = 1;
  bool step_matters = false, seed_matters = false;
  for (std::int64_t step = 5; step < 12; ++step) {
    const Tensor other = first(step, setting.scores, setting.labels);
    step_matters = step_matters || !torch::equal(other, shares);
    seed_matters = seed_matters || !torch::equal(setting.shares(options)(step, setting.scores, setting.labels), other);
  }
  CHECK(step_matters);
  CHECK(seed_matters);
}
