#include "runtime/policy_rules.h"

#include <algorithm>
#include <cmath>

namespace bitpilot {
namespace {

std::size_t nearest_knot(const PolicyParameters& p, double lambda) {
  return static_cast<std::size_t>(std::nearbyint(lambda_position(lambda, p.lambda_low, p.lambda_high, p.knots())));
}

}  // namespace

int choose_first(const PolicyParameters& p, std::span<const float> residual, double wanted_lambda) {
  const double lambda = std::max(wanted_lambda, p.lambda_floor);
  const float position = lambda_position(lambda, p.lambda_low, p.lambda_high, p.knots());
  const auto low = std::min(static_cast<std::size_t>(position), p.knots() - 2);
  const float share = position - static_cast<float>(low);
  const std::vector<std::uint8_t>& allowed = p.first_allowed[nearest_knot(p, lambda)];
  int best = -1;
  float best_value = 0;
  for (std::size_t k = 0; k < p.anchors(); ++k) {
    if (!allowed[k]) continue;
    const float mean = p.first_value[low][k] + share * (p.first_value[low + 1][k] - p.first_value[low][k]);
    const float value = (mean + p.first_weight * residual[k]) + static_cast<float>(lambda) * p.first_cost[k];
    if (best < 0 || value < best_value) {
      best = static_cast<int>(k);
      best_value = value;
    }
  }
  return best;
}

float curve_drop(const PolicyParameters& p, int taken, int second, float signal) {
  const std::vector<float>& points = p.curve_at[static_cast<std::size_t>(taken)];
  const float* drop =
      p.curve_drop[static_cast<std::size_t>(taken)].data() + static_cast<std::size_t>(second) * points.size();
  constexpr float kTieSlope = 1e-4F;  // on flat pieces a less sure picture still comes first
  const float tie = kTieSlope * signal;
  if (signal <= points.front()) return drop[0] + tie;
  if (!(signal < points.back())) return drop[points.size() - 1] + tie;  // also where it is no number
  const auto upper = static_cast<std::size_t>(std::upper_bound(points.begin(), points.end(), signal) - points.begin());
  const float share = (signal - points[upper - 1]) / (points[upper] - points[upper - 1]);
  return drop[upper - 1] + share * (drop[upper] - drop[upper - 1]) + tie;
}

int choose_second(const PolicyParameters& p, int taken, float signal, std::span<const float> residual,
                  double wanted_lambda) {
  const double lambda = std::max(wanted_lambda, p.lambda_floor);
  const std::uint8_t* allowed =
      p.pair_allowed[nearest_knot(p, lambda)].data() + static_cast<std::size_t>(taken) * p.anchors();
  int best = -1;
  float best_gain = 0;
  for (std::size_t k = 0; k < p.anchors(); ++k) {
    if (!allowed[k]) continue;
    const float drop = curve_drop(p, taken, static_cast<int>(k), signal) + p.stop_weight * residual[k];
    const float gain = drop - static_cast<float>(lambda) * p.second_cost[k];
    if (gain > best_gain) {
      best = static_cast<int>(k);
      best_gain = gain;
    }
  }
  return best;
}

}  // namespace bitpilot
