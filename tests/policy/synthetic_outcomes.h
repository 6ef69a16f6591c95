#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "env/outcomes.h"
#include "runtime/core/random.h"
#include "tests/support/sample_model.h"

namespace bitpilot::testing {

/// A model whose anchors are u2, u4, u8 and half8 of the sample network, without a policy.
inline ModelData synthetic_model() {
  SampleOptions options;
  options.policy = false;
  ModelData model = sample_model(sample_network(), options);
  model.ranges.clear();
  model.statistics.clear();
  return model;
}

struct SyntheticOptions {
  std::uint64_t seed = 1;
  double strength[4] = {2.2, 2.9, 3.1, 2.6};  ///< mean margin of the right class, per anchor
  double difficulty = 1.6;                    ///< spread of the pictures' difficulty, shared by all anchors
  double visible = 0.3;                       ///< how much of the difficulty the statistics show, 0..1
  double own_noise = 0.7;                     ///< of each anchor's scores
};

/// Outcomes of made-up pictures: scores = margin of the right class + noise shared by all anchors + own noise.  What a
/// cascade lives on (an unsure first look is often wrong, a dearer one often repairs it) holds by construction.
inline OutcomeTable synthetic_outcomes(const ModelData& model, std::size_t count,
                                       const SyntheticOptions& options = {}) {
  OutcomeTable table;
  table.anchors = model.anchors.size();
  table.classes = static_cast<std::size_t>(model.network.classes());
  table.stem_channels = static_cast<std::size_t>(model.network.layer(0).shape.channels);
  table.families = {"blur", "clean"};
  for (std::size_t i = 0; i < count; ++i) {
    Random random(options.seed, "synthetic outcomes", i);
    const double difficulty = options.difficulty * random.normal();
    const auto label = static_cast<int>(random.below(table.classes));
    std::vector<double> shared(table.classes);
    for (double& s : shared) s = 0.8 * random.normal();
    for (std::size_t k = 0; k < table.anchors; ++k) {
      for (std::size_t c = 0; c < table.classes; ++c) {
        const bool right = static_cast<int>(c) == label;
        const double margin = right ? options.strength[k % 4] - difficulty : 0.0;
        table.scores.push_back(static_cast<float>(1.3 * (margin + shared[c] + options.own_noise * random.normal())));
      }
    }
    for (int s = 0; s < kStatisticsCount; ++s) {
      const double seen = s % 3 == 0 ? options.visible * difficulty / options.difficulty : 0.0;
      table.statistics.push_back(
          static_cast<float>(5.0 * s + seen + random.normal() * std::sqrt(1 - options.visible * options.visible)));
    }
    for (std::size_t c = 0; c < table.stem_channels; ++c)
      table.stem_sums.push_back(4000 + static_cast<std::int32_t>(600 * random.normal()));
    table.labels.push_back(label);
    table.severity.push_back(static_cast<std::uint8_t>(std::clamp(2.5 + difficulty, 0.0, 5.0)));
    table.family.push_back(static_cast<std::uint16_t>(table.severity.back() == 0 ? 1 : 0));
    table.index.push_back(static_cast<std::uint32_t>(i));
  }
  return table;
}

}  // namespace bitpilot::testing
