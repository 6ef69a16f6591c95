#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitpilot {

/// One fully connected layer of a policy network, real-valued.
struct RealLayer {
  int inputs = 0, outputs = 0;
  std::vector<float> weights;  ///< [outputs][inputs]
  std::vector<float> bias;     ///< [outputs]
};

/// ReLU between layers, none behind the last.
using RealMlp = std::vector<RealLayer>;

/// A matrix of samples by columns, row major.
struct Rows {
  int columns = 0;
  std::vector<float> values;
  std::size_t count() const { return columns == 0 ? 0 : values.size() / static_cast<std::size_t>(columns); }
  std::span<const float> row(std::size_t i) const {
    return {values.data() + i * static_cast<std::size_t>(columns), static_cast<std::size_t>(columns)};
  }
};

struct FitOptions {
  std::vector<int> hidden{16};
  int epochs = 10;
  int batch = 512;
  double learning_rate = 3e-3;  ///< peak of a one-cycle-like cosine
  double weight_decay = 1e-4;   ///< decoupled
  std::uint64_t seed = 0;
  int linear_at = -1;          ///< index of a layer without ReLU behind it (an embedding), -1 = none
  bool start_at_zero = false;  ///< last layer starts at 0, so that the network starts as "no correction"
};

/// Least-squares regression by Adam; `column_weight` [targets.columns] scales each target's squared error (empty: 1).
/// Uses no global random state.
RealMlp fit_regression(const Rows& inputs, const Rows& targets, const std::vector<float>& column_weight,
                       const FitOptions& options);

/// Runs a network on every row.  `linear_at` as in FitOptions.
Rows evaluate_network(const RealMlp& network, const Rows& inputs, int linear_at = -1);

}  // namespace bitpilot
