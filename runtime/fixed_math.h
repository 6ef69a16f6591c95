#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

/// Exponential, logarithm and softmax in float32 and in one fixed order of operations: the same bits on every machine,
/// which the C library's do not promise.  Files that use it are compiled with -ffp-contract=off.
namespace bitpilot::fixed_math {

/// e^x for x <= 0 (0 below -80); relative error below 1e-6.
inline float exp_negative(float x) {
  if (!(x > -80.0F)) return 0.0F;
  const float scaled = x * 1.44269504F;
  const float whole = std::nearbyint(scaled);
  const float rest = (scaled - whole) * 0.693147181F;
  float sum = 1.0F / 720.0F;
  for (const float term : {1.0F / 120.0F, 1.0F / 24.0F, 1.0F / 6.0F, 0.5F, 1.0F, 1.0F}) sum = sum * rest + term;
  return std::ldexp(sum, static_cast<int>(whole));
}

/// Natural logarithm of x > 0; absolute error below 1e-6.
inline float log_positive(float x) {
  int exponent = 0;
  float mantissa = std::frexp(x, &exponent);
  if (mantissa < 0.707106781F) {
    mantissa *= 2.0F;
    --exponent;
  }
  const float s = (mantissa - 1.0F) / (mantissa + 1.0F);
  const float square = s * s;
  float sum = 1.0F / 11.0F;
  for (const float term : {1.0F / 9.0F, 1.0F / 7.0F, 1.0F / 5.0F, 1.0F / 3.0F, 1.0F}) sum = sum * square + term;
  return 2.0F * s * sum + static_cast<float>(exponent) * 0.693147181F;
}

/// probabilities = softmax(scores / temperature), written into `probabilities` (resized), their logarithms into
/// `logarithms` if not null. Returns the entropy in nats.
inline float softmax(std::span<const float> scores, float temperature, std::vector<float>& probabilities,
                     std::vector<float>* logarithms = nullptr) {
  probabilities.resize(scores.size());
  const float highest = *std::max_element(scores.begin(), scores.end());
  const float inverse = 1.0F / temperature;
  float sum = 0.0F, weighted = 0.0F;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const float shifted = (scores[i] - highest) * inverse;
    probabilities[i] = exp_negative(shifted);
    sum += probabilities[i];
    weighted += probabilities[i] * shifted;
  }
  const float normaliser = 1.0F / sum;
  for (float& p : probabilities) p *= normaliser;
  const float log_sum = log_positive(sum);
  if (logarithms) {
    logarithms->resize(scores.size());
    for (std::size_t i = 0; i < scores.size(); ++i) (*logarithms)[i] = (scores[i] - highest) * inverse - log_sum;
  }
  return std::max(0.0F, log_sum - weighted * normaliser);
}

}  // namespace bitpilot::fixed_math
