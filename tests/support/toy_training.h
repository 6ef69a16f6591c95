#pragma once

#include "quant/training_loop.h"

namespace bitpilot::testing {

/// Pictures [N, 1, 12, 12] of five classes, told apart by where a bright band stands.
inline TrainingBatch toy_pictures(int pictures, std::uint64_t seed, double brightness = 0.8) {
  constexpr int kClasses = 5;
  torch::manual_seed(seed);
  TrainingBatch batch{torch::rand({pictures, 1, 12, 12}), torch::empty({pictures}, torch::kLong)};
  for (int i = 0; i < pictures; ++i) {
    batch.labels[i] = i % kClasses;
    batch.src[i][0].narrow(0, 2 * (i % kClasses), 2).add_(brightness);
  }
  return batch;
}

}  // namespace bitpilot::testing
