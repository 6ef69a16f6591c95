#include "policy/stop_rule.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "policy/export.h"
#include "policy/quality_estimator.h"
#include "runtime/look_confidence.h"
#include "runtime/policy_rules.h"

namespace bitpilot {
namespace {

constexpr float kSharpness = 3;  // of the softened error: nearly 0/1, but a narrow miss still counts as narrow

float signal_of(StopSignal signal, const LookConfidence& look) {
  switch (signal) {
    case StopSignal::kOneMinusTop:
      return 1.0F - look.top;
    case StopSignal::kEntropy:
      return look.entropy;
    case StopSignal::kOneMinusMargin:
      return 1.0F - (look.top - look.second);
  }
  return 0;
}

/// Quantiles of ascending values, strictly ascending, denser towards the top: that is where second looks happen.
std::vector<float> curve_points(const std::vector<float>& sorted, int count) {
  std::vector<float> points;
  for (int i = 0; i < count; ++i) {
    const double rest = 1.0 - static_cast<double>(i) / (count - 1);
    const double share = 1.0 - rest * rest;
    const float value = sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
    points.push_back(points.empty() ? value : std::max(value, std::nextafter(points.back() + 1e-6F, 1e9F)));
  }
  return points;
}

/// Piecewise-linear curve through the centres of the isotonic fit's flat pieces, read at `points`.
std::vector<float> read_curve(const std::vector<float>& at, const std::vector<double>& fitted,
                              const std::vector<float>& points) {
  std::vector<double> centre, level;
  for (std::size_t from = 0; from < at.size();) {
    std::size_t to = from;
    double sum = 0;
    while (to < at.size() && fitted[to] == fitted[from]) sum += at[to++];
    centre.push_back(sum / static_cast<double>(to - from));
    level.push_back(fitted[from]);
    from = to;
  }
  std::vector<float> result;
  for (const float point : points) {
    const auto upper = static_cast<std::size_t>(std::upper_bound(centre.begin(), centre.end(), point) - centre.begin());
    if (upper == 0 || upper == centre.size()) {
      result.push_back(static_cast<float>(level[upper == 0 ? 0 : upper - 1]));
      continue;
    }
    const double share = (point - centre[upper - 1]) / std::max(1e-12, centre[upper] - centre[upper - 1]);
    result.push_back(static_cast<float>(level[upper - 1] + share * (level[upper] - level[upper - 1])));
  }
  return result;
}

/// Looks of one anchor over the whole table.
struct AnchorLooks {
  std::vector<float> signal;  ///< [N]
  Rows confidence;            ///< [N][look features]
};

AnchorLooks looks_of(const OutcomeTable& table, std::size_t anchor, float temperature, StopSignal signal) {
  AnchorLooks looks;
  looks.confidence.columns = look_feature_count(static_cast<int>(table.classes));
  for (std::size_t i = 0; i < table.size(); ++i) {
    const LookConfidence look = look_confidence(table.scores_of(i, anchor), temperature);
    looks.signal.push_back(signal_of(signal, look));
    const std::vector<float> features = look_features(look, looks.confidence.columns);
    looks.confidence.values.insert(looks.confidence.values.end(), features.begin(), features.end());
  }
  return looks;
}

void add_moments(const Rows& rows, std::vector<double>& sum, std::vector<double>& square) {
  for (std::size_t i = 0; i < rows.values.size(); ++i) {
    sum[i % sum.size()] += rows.values[i];
    square[i % sum.size()] += static_cast<double>(rows.values[i]) * rows.values[i];
  }
}

void fit_curves(const AnchorLooks& looks, const Rows& losses, std::size_t taken, int points, PolicyParameters& p) {
  std::vector<std::size_t> order(looks.signal.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return looks.signal[a] < looks.signal[b]; });
  std::vector<float> sorted;
  for (const std::size_t i : order) sorted.push_back(looks.signal[i]);
  p.curve_at[taken] = curve_points(sorted, points);
  p.curve_drop[taken].clear();
  for (std::size_t second = 0; second < p.anchors(); ++second) {
    std::vector<double> drop;
    for (const std::size_t i : order) drop.push_back(losses.row(i)[taken] - losses.row(i)[second]);
    const std::vector<float> curve = read_curve(sorted, isotonic(drop), p.curve_at[taken]);
    p.curve_drop[taken].insert(p.curve_drop[taken].end(), curve.begin(), curve.end());
  }
}

bool dearer(const PolicyParameters& p, std::size_t second, std::size_t taken) {
  return p.first_cost[second] > p.first_cost[taken];
}

IntegerMlp fit_residual(const AnchorLooks& looks, const Rows& embedding, const Rows& losses, std::size_t taken,
                        const StopRuleOptions& options, const PolicyParameters& p) {
  Rows inputs{embedding.columns + looks.confidence.columns, {}}, targets{static_cast<int>(p.anchors()), {}};
  std::vector<float> weight(p.anchors(), 0.0F);
  for (std::size_t k = 0; k < p.anchors(); ++k) weight[k] = dearer(p, k, taken) ? 1.0F : 0.0F;
  if (*std::max_element(weight.begin(), weight.end()) == 0) return {};
  for (std::size_t i = 0; i < looks.signal.size(); ++i) {
    inputs.values.insert(inputs.values.end(), embedding.row(i).begin(), embedding.row(i).end());
    for (std::size_t f = 0; f < p.confidence_mean.size(); ++f)
      inputs.values.push_back((looks.confidence.row(i)[f] - p.confidence_mean[f]) * p.confidence_scale[f]);
    for (std::size_t k = 0; k < p.anchors(); ++k) {
      const float drop = losses.row(i)[taken] - losses.row(i)[k];
      targets.values.push_back(
          weight[k] > 0 ? drop - curve_drop(p, static_cast<int>(taken), static_cast<int>(k), looks.signal[i]) : 0.0F);
    }
  }
  FitOptions fit;
  fit.hidden = {options.hidden};
  fit.epochs = options.epochs;
  fit.weight_decay = options.weight_decay;
  fit.seed = options.seed + 17 * taken;
  fit.start_at_zero = true;
  inputs = rounded_inputs(inputs);
  return to_integer(fit_regression(inputs, targets, weight, fit), inputs);
}

}  // namespace

std::vector<double> isotonic(const std::vector<double>& values) {
  std::vector<double> mean;
  std::vector<std::size_t> count;
  for (const double value : values) {
    mean.push_back(value);
    count.push_back(1);
    while (mean.size() > 1 && mean[mean.size() - 2] >= mean.back()) {
      const std::size_t total = count[count.size() - 2] + count.back();
      const double pooled = (mean[mean.size() - 2] * static_cast<double>(count[count.size() - 2]) +
                             mean.back() * static_cast<double>(count.back())) /
                            static_cast<double>(total);
      mean.pop_back();
      count.pop_back();
      mean.back() = pooled;
      count.back() = total;
    }
  }
  std::vector<double> result;
  for (std::size_t b = 0; b < mean.size(); ++b) result.insert(result.end(), count[b], mean[b]);
  return result;
}

Rows mixed_losses(const OutcomeTable& table, const std::vector<float>& temperatures, double error_weight) {
  Rows losses = anchor_losses(table, temperatures);
  if (error_weight == 0) return losses;
  const std::size_t n = table.size(), anchors = table.anchors;
  std::vector<float> error(n * anchors);
  // Scale: regression of the loss on the error within a picture, that is between its anchors.
  double product = 0, square = 0;
  for (std::size_t i = 0; i < n; ++i) {
    double mean_loss = 0, mean_error = 0;
    for (std::size_t k = 0; k < anchors; ++k) {
      const std::vector<float> sharp =
          look_confidence(table.scores_of(i, k), temperatures[k] / kSharpness).probabilities;
      error[i * anchors + k] = 1.0F - sharp[static_cast<std::size_t>(table.labels[i])];
      mean_loss += losses.row(i)[k] / static_cast<double>(anchors);
      mean_error += error[i * anchors + k] / static_cast<double>(anchors);
    }
    for (std::size_t k = 0; k < anchors; ++k) {
      product += (losses.row(i)[k] - mean_loss) * (error[i * anchors + k] - mean_error);
      square += (error[i * anchors + k] - mean_error) * (error[i * anchors + k] - mean_error);
    }
  }
  const double scale = square > 0 ? product / square : 1.0;
  for (std::size_t i = 0; i < losses.values.size(); ++i)
    losses.values[i] = static_cast<float>((1.0 - error_weight) * losses.values[i] + error_weight * scale * error[i]);
  return losses;
}

void fit_stop_rule(const ModelData& model, const OutcomeTable& table, const StopRuleOptions& options,
                   PolicyParameters& p) {
  std::vector<float> temperatures;
  for (const Anchor& anchor : model.anchors) temperatures.push_back(anchor.temperature);
  const Rows losses = mixed_losses(table, temperatures, options.error_weight);
  std::vector<AnchorLooks> looks;
  const auto width = static_cast<std::size_t>(look_feature_count(static_cast<int>(table.classes)));
  std::vector<double> sum(width, 0), square(width, 0);
  for (std::size_t k = 0; k < table.anchors; ++k) {
    looks.push_back(looks_of(table, k, temperatures[k], p.signal));
    add_moments(looks.back().confidence, sum, square);
  }
  const double n = static_cast<double>(table.size() * table.anchors);
  p.confidence_mean.assign(width, 0);
  p.confidence_scale.assign(width, 0);
  for (std::size_t f = 0; f < width; ++f) {
    p.confidence_mean[f] = static_cast<float>(sum[f] / n);
    const double deviation = std::sqrt(std::max(0.0, square[f] / n - sum[f] / n * sum[f] / n));
    p.confidence_scale[f] = deviation > 1e-6 ? static_cast<float>(1.0 / deviation) : 0.0F;
  }
  p.curve_at.assign(table.anchors, {});
  p.curve_drop.assign(table.anchors, {});
  p.stop_residual.assign(table.anchors, {});
  for (std::size_t k = 0; k < table.anchors; ++k) fit_curves(looks[k], losses, k, options.points, p);
  if (options.epochs == 0) return;
  // Networks learn the softened error's drop: regressed on the plain loss they chase confident mistakes that no second
  // look mends.
  const Rows errors = mixed_losses(table, temperatures, 1.0),
             embedding = estimator_embedding(table, stem_pixels(model), p);
  for (std::size_t k = 0; k < table.anchors; ++k)
    p.stop_residual[k] = fit_residual(looks[k], embedding, errors, k, options, p);
}

void never_look_again(PolicyParameters& p) {
  const std::size_t anchors = p.anchors();
  const std::vector<float> ends{0, 1};  // the file's curves have two points at least
  p.pair_allowed.assign(p.knots(), std::vector<std::uint8_t>(anchors * anchors, 0));
  p.curve_at.assign(anchors, ends);
  p.curve_drop.assign(anchors, std::vector<float>(anchors * ends.size(), 0.0F));
  p.confidence_mean.assign(kSummaryFeatures, 0.0F);
  p.confidence_scale.assign(kSummaryFeatures, 0.0F);
  p.stop_residual.assign(anchors, {});
  p.stop_weight = 0;
}

}  // namespace bitpilot
