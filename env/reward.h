#pragma once

#include <span>

namespace bitpilot {

/// Cross-entropy is clipped here: past it a wrong answer is as wrong as can be, and single pictures must not rule a
/// regression.
inline constexpr double kClippedLoss = 4.0;

/// Cross-entropy in nats of softmax(scores / temperature) against `label`, clipped at kClippedLoss.
double task_loss(std::span<const float> scores, float temperature, int label);
/// Index of the largest score, the first on ties.
int top_class(std::span<const float> scores);

/// Return of an episode: minus task loss minus lambda times the relative cost of everything computed.
inline double episode_return(double loss, double lambda, double relative_cost) {
  return -loss - lambda * relative_cost;
}

}  // namespace bitpilot
