#include "policy/quality_estimator.h"

#include <algorithm>
#include <cmath>

#include "env/reward.h"
#include "policy/export.h"

namespace bitpilot {
namespace {

/// Folds (x - mean) * scale behind a layer into its weights.
void fold_behind(RealLayer& layer, const std::vector<float>& mean, const std::vector<float>& scale) {
  const auto width = static_cast<std::size_t>(layer.inputs);
  for (std::size_t o = 0; o < static_cast<std::size_t>(layer.outputs); ++o) {
    for (std::size_t i = 0; i < width; ++i) layer.weights[o * width + i] *= scale[o];
    layer.bias[o] = (layer.bias[o] - mean[o]) * scale[o];
  }
}

}  // namespace

Rows picture_features(const OutcomeTable& table, int pixels, bool stem) {
  Rows rows{static_cast<int>(kStatisticsCount + (stem ? table.stem_channels : 0)), {}};
  rows.values.reserve(table.size() * static_cast<std::size_t>(rows.columns));
  const float inverse = 1.0F / static_cast<float>(pixels);
  for (std::size_t i = 0; i < table.size(); ++i) {
    const ImageStatistics statistics = table.statistics_of(i);
    rows.values.insert(rows.values.end(), statistics.values.begin(), statistics.values.end());
    if (!stem) continue;
    for (const std::int32_t sum : table.stem_of(i)) rows.values.push_back(static_cast<float>(sum) * inverse);
  }
  return rows;
}

void standardisation(const Rows& rows, std::vector<float>& mean, std::vector<float>& scale) {
  const auto width = static_cast<std::size_t>(rows.columns);
  std::vector<double> sum(width, 0), square(width, 0);
  for (std::size_t r = 0; r < rows.count(); ++r) {
    for (std::size_t c = 0; c < width; ++c) {
      sum[c] += rows.row(r)[c];
      square[c] += static_cast<double>(rows.row(r)[c]) * rows.row(r)[c];
    }
  }
  const double n = static_cast<double>(rows.count());
  mean.assign(width, 0);
  scale.assign(width, 0);
  for (std::size_t c = 0; c < width; ++c) {
    mean[c] = static_cast<float>(sum[c] / n);
    const double deviation = std::sqrt(std::max(0.0, square[c] / n - (sum[c] / n) * (sum[c] / n)));
    scale[c] = deviation > 1e-6 * (1.0 + std::abs(mean[c])) ? static_cast<float>(1.0 / deviation) : 0.0F;
  }
}

void standardise(Rows& rows, const std::vector<float>& mean, const std::vector<float>& scale) {
  for (std::size_t i = 0; i < rows.values.size(); ++i) {
    const std::size_t c = i % static_cast<std::size_t>(rows.columns);
    rows.values[i] = (rows.values[i] - mean[c]) * scale[c];
  }
}

int stem_pixels(const ModelData& model) {
  const Shape shape = model.network.layer(0).shape;
  return shape.height * shape.width;
}

Rows estimator_embedding(const OutcomeTable& table, int pixels, const PolicyParameters& parameters) {
  Rows features = picture_features(table, pixels, parameters.feature_mean.size() > kStatisticsCount);
  standardise(features, parameters.feature_mean, parameters.feature_scale);
  return rounded_inputs(apply_integer(parameters.embedding, features));
}

Rows anchor_losses(const OutcomeTable& table, const std::vector<float>& temperatures) {
  Rows rows{static_cast<int>(table.anchors), {}};
  for (std::size_t i = 0; i < table.size(); ++i) {
    for (std::size_t k = 0; k < table.anchors; ++k)
      rows.values.push_back(static_cast<float>(task_loss(table.scores_of(i, k), temperatures[k], table.labels[i])));
  }
  return rows;
}

void fit_quality_estimator(const OutcomeTable& table, const std::vector<float>& temperatures, int pixels,
                           const EstimatorOptions& options, PolicyParameters& parameters) {
  Rows features = picture_features(table, pixels, options.stem);
  standardisation(features, parameters.feature_mean, parameters.feature_scale);
  standardise(features, parameters.feature_mean, parameters.feature_scale);
  features = rounded_inputs(features);

  const Rows losses = anchor_losses(table, temperatures);
  const auto anchors = static_cast<int>(table.anchors), families = static_cast<int>(table.families.size());
  Rows targets{1 + families + anchors, {}};
  for (std::size_t i = 0; i < table.size(); ++i) {
    targets.values.push_back(static_cast<float>(table.severity[i]) - 2.5F);
    for (int f = 0; f < families; ++f) targets.values.push_back(table.family[i] == f ? 1.0F : 0.0F);
    targets.values.insert(targets.values.end(), losses.row(i).begin(), losses.row(i).end());
  }
  std::vector<float> weight(static_cast<std::size_t>(targets.columns), 1.0F);
  std::fill(weight.begin() + 1, weight.begin() + 1 + families, 2.0F);
  std::fill(weight.begin() + 1 + families, weight.end(), 4.0F / static_cast<float>(anchors));

  FitOptions fit;
  fit.hidden = {options.hidden, options.embedding, 48};
  fit.linear_at = 1;
  fit.epochs = options.epochs;
  fit.seed = options.seed;
  fit.batch = 256;
  const RealMlp whole = fit_regression(features, targets, weight, fit);

  RealMlp trunk(whole.begin(), whole.begin() + 2);
  std::vector<float> mean, scale;
  standardisation(evaluate_network(trunk, features), mean, scale);
  fold_behind(trunk.back(), mean, scale);
  parameters.embedding = to_integer(trunk, features);

  const Rows embedding = rounded_inputs(apply_integer(parameters.embedding, features));
  Rows severity{1, {}};
  for (const std::uint8_t s : table.severity) severity.values.push_back(static_cast<float>(s));
  FitOptions head;
  head.hidden = {16};
  head.epochs = 10;
  head.seed = options.seed + 1;
  parameters.severity = to_integer(fit_regression(embedding, severity, {}, head), embedding);
}

}  // namespace bitpilot
