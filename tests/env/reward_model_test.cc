#include "env/reward_model.h"

#include <doctest/doctest.h>

#include "runtime/core/random.h"

using namespace bitpilot;

namespace {

constexpr int kLayers = 3, kEmbedding = 4;

/// Episodes whose loss is `signal` * (what the bits say, scaled by the picture) plus noise.
Rollouts made_up(double signal, double noise) {
  constexpr int kPictures = 250, kConfigs = 8;
  const std::int64_t rows = kPictures * kConfigs;
  Rollouts r{torch::zeros({rows, kEmbedding}), torch::zeros({rows, kLayers, 2}), torch::ones({rows, kLayers}),
             torch::zeros({rows}), torch::zeros({rows}, torch::kInt64)};
  auto embedding = r.embedding.accessor<float, 2>();
  auto bits = r.bits.accessor<float, 3>();
  auto loss = r.loss.accessor<float, 1>();
  auto picture = r.picture.accessor<std::int64_t, 1>();
  for (int p = 0; p < kPictures; ++p) {
    Random random(1, "made-up pictures", static_cast<std::uint64_t>(p));
    float e[kEmbedding];
    for (float& v : e) v = static_cast<float>(random.normal());
    for (int c = 0; c < kConfigs; ++c) {
      const int row = p * kConfigs + c;
      double sum = 0;
      for (int l = 0; l < kLayers; ++l) {
        for (int t = 0; t < 2; ++t) {
          const int b = 2 + static_cast<int>(random.below(7));
          bits[row][l][t] = static_cast<float>(b);
          sum += (8 - b) / 6.0 / (2 * kLayers);
        }
      }
      for (int i = 0; i < kEmbedding; ++i) embedding[row][i] = e[i];
      loss[row] = static_cast<float>(1 + signal * sum * (1.5 + 0.5 * e[0]) + noise * random.normal());
      picture[row] = p;
    }
  }
  return r;
}

}  // namespace

TEST_CASE("env/reward_model: Spearman's correlation knows order, ties and constants") {
  CHECK(spearman({1, 2, 3, 4}, {10, 20, 30, 400}) == doctest::Approx(1));
  CHECK(spearman({1, 2, 3, 4}, {4, 3, 2, 1}) == doctest::Approx(-1));
  CHECK(spearman({1, 2, 3}, {5, 5, 5}) == 0);
  CHECK(spearman({1, 2, 2, 3}, {1, 2, 2, 3}) == doctest::Approx(1));
}

TEST_CASE("env/reward_model: it is trusted where bits explain the loss and refused where they do not") {
  RewardModelOptions options;
  options.epochs = 12;
  RewardModel good(kEmbedding, kLayers, options), blind(kEmbedding, kLayers, options);
  good.fit(made_up(2.0, 0.1));
  blind.fit(made_up(0.0, 0.5));
  CHECK(good.rank_correlation() > 0.7);
  CHECK(good.trusted());
  CHECK(std::abs(blind.rank_correlation()) < 0.3);
  CHECK_FALSE(blind.trusted());

  // Its gradient says that more bits lose less.
  torch::Tensor bits = torch::full({16, kLayers, 2}, 4.0).requires_grad_(true);
  good.predict(torch::zeros({16, kEmbedding}), bits, torch::ones({16, kLayers})).mean.sum().backward();
  CHECK(bits.grad().mean().item<double>() < 0);
}
