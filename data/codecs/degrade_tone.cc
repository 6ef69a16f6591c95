#include <algorithm>

#include "data/codecs/degrade_families.h"

namespace bitpilot::families {

/// Small pictures: all values scaled by the factor and shifted by one random offset that keeps them in range.  Large
/// ones: about the mean of each channel.
void contrast(cv::Mat& x, const ParameterValues& p, bool small, Random& random) {
  const auto factor = static_cast<float>(p[0]);
  float* v = x.ptr<float>();
  const auto channels = static_cast<std::size_t>(x.channels());
  const std::size_t count = x.total() * channels;
  if (small) {
    const auto offset = static_cast<float>(random.uniform(0, 1 - p[0]));
    for (std::size_t i = 0; i < count; ++i) v[i] = v[i] * factor + offset;
    return;
  }
  for (std::size_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (std::size_t i = c; i < count; i += channels) sum += static_cast<double>(v[i]);
    const auto mean = static_cast<float>(sum / static_cast<double>(x.total()));
    for (std::size_t i = c; i < count; i += channels) v[i] = (v[i] - mean) * factor + mean;
  }
}

/// Adds to HSV's value V at constant hue and saturation: rgb * V' / V.  Small pictures: up or down at random.
void brightness(cv::Mat& x, const ParameterValues& p, bool small, Random& random) {
  const auto shift = static_cast<float>(small && random.uniform() < 0.5 ? -p[0] : p[0]);
  const int channels = x.channels();
  float* v = x.ptr<float>();
  for (std::size_t i = 0; i < x.total(); ++i, v += channels) {
    const float value = *std::max_element(v, v + channels);
    const float shifted = std::clamp(value + shift, 0.0F, 1.0F);
    for (int c = 0; c < channels; ++c) v[c] = value > 0 ? v[c] * (shifted / value) : shifted;
  }
}

/// HSV's saturation S becomes clip(S * factor + shift) at constant hue and value: V - (V - rgb) * S' / S; gray pixels
/// have hue 0 (red).
void saturate(cv::Mat& x, const ParameterValues& p, bool, Random&) {
  float* v = x.ptr<float>();
  for (std::size_t i = 0; i < x.total(); ++i, v += 3) {
    const float value = std::max({v[0], v[1], v[2]}), lowest = std::min({v[0], v[1], v[2]});
    if (value <= 0) continue;
    const float saturation = (value - lowest) / value;
    const float changed = std::clamp(saturation * static_cast<float>(p[0]) + static_cast<float>(p[1]), 0.0F, 1.0F);
    if (saturation > 0)
      for (int c = 0; c < 3; ++c) v[c] = value - (value - v[c]) * (changed / saturation);
    else
      v[0] = v[1] = value * (1 - changed);
  }
}

}  // namespace bitpilot::families
