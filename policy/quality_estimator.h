#pragma once

#include "env/outcomes.h"
#include "policy/small_network.h"
#include "runtime/policy_parameters.h"

namespace bitpilot {

struct EstimatorOptions {
  int hidden = 32;
  int embedding = 16;
  bool stem = true;  ///< read the stem's channel means besides the statistics
  int epochs = 25;
  std::uint64_t seed = 0;
};

/// Trains the blind data-quality estimator: standardised statistics and stem means -> hidden -> embedding, on three
/// tasks at once: severity 0..5, degradation family (dropped afterwards), and the clipped loss of every anchor (what
/// the policy needs to know). Fills feature_mean, feature_scale, embedding (outputs standardised) and severity of
/// `parameters`.
void fit_quality_estimator(const OutcomeTable& table, const std::vector<float>& temperatures, int stem_pixels,
                           const EstimatorOptions& options, PolicyParameters& parameters);

/// What PolicyHead will see of every picture, [N][embedding]; needs feature_mean, feature_scale and embedding.
Rows estimator_embedding(const OutcomeTable& table, int stem_pixels, const PolicyParameters& parameters);
/// What is known of every picture before any look: its statistics, and with `stem` the means of the stem's channels.
Rows picture_features(const OutcomeTable& table, int stem_pixels, bool stem);
/// Mean and 1 / standard deviation of every column; a constant column gets scale 0 and says nothing.
void standardisation(const Rows& rows, std::vector<float>& mean, std::vector<float>& scale);
/// (x - mean) * scale in every column.
void standardise(Rows& rows, const std::vector<float>& mean, const std::vector<float>& scale);
/// Pixels that the stem's channel sums run over.
int stem_pixels(const ModelData& model);

/// Clipped loss of every anchor, [N][anchors].
Rows anchor_losses(const OutcomeTable& table, const std::vector<float>& temperatures);

}  // namespace bitpilot
