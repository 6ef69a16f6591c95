#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "data/codecs/degrade_families.h"
#include "data/codecs/float_picture.h"

namespace bitpilot::families {
namespace {

constexpr double kPi = 3.141592653589793;

/// Diamond-square height map in [0, 1], side x side (a power of two), wrapping around; the roughness is divided by
/// `decay` each level.
std::vector<float> height_map(int side, double decay, Random& random) {
  const auto at = [side](int y, int x) {
    const int mask = side - 1;
    return static_cast<std::size_t>(y & mask) * static_cast<std::size_t>(side) + static_cast<std::size_t>(x & mask);
  };
  std::vector<double> map(static_cast<std::size_t>(side) * static_cast<std::size_t>(side), 0.0);
  double roughness = 100;
  for (int step = side; step >= 2; step /= 2, roughness /= decay) {
    const int half = step / 2;
    const auto noise = [&] { return roughness * random.uniform(-roughness, roughness); };
    for (int y = 0; y < side; y += step)
      for (int x = 0; x < side; x += step)
        map[at(y + half, x + half)] =
            (map[at(y, x)] + map[at(y + step, x)] + map[at(y, x + step)] + map[at(y + step, x + step)]) / 4 + noise();
    for (int y = 0; y < side; y += step)
      for (int x = 0; x < side; x += step) {
        map[at(y, x + half)] =
            (map[at(y, x)] + map[at(y, x + step)] + map[at(y + half, x + half)] + map[at(y - half, x + half)]) / 4 +
            noise();
        map[at(y + half, x)] =
            (map[at(y, x)] + map[at(y + step, x)] + map[at(y + half, x + half)] + map[at(y + half, x - half)]) / 4 +
            noise();
      }
  }
  const auto [lowest, highest] = std::minmax_element(map.begin(), map.end());
  const double low = *lowest, span = std::max(*highest - low, 1e-12);
  std::vector<float> scaled(map.size());
  std::transform(map.begin(), map.end(), scaled.begin(),
                 [&](double v) { return static_cast<float>((v - low) / span); });
  return scaled;
}

int power_of_two_from(int size) {
  int side = 32;
  while (side < size) side *= 2;
  return side;
}

/// Colour (red, green, blue in 0..1) as one channel or as blue, green, red.
std::array<float, 3> colour_for(int channels, float red, float green, float blue) {
  if (channels == 3) return {blue, green, red};
  return {0.299F * red + 0.587F * green + 0.114F * blue, 0, 0};
}

/// Outlines of water drops: distance from the drops' edges, equalised and embossed.  CV_32FC1, 0..255.
cv::Mat drop_relief(const cv::Mat& layer) {
  cv::Mat drops, edges, distance, relief;
  layer.convertTo(drops, CV_8U, 255.0);
  cv::Canny(drops, edges, 50, 150);
  cv::distanceTransform(255 - edges, distance, cv::DIST_L2, 5);
  cv::threshold(distance, distance, 20, 20, cv::THRESH_TRUNC);
  cv::blur(distance, distance, {3, 3});
  distance.convertTo(relief, CV_8U);
  cv::equalizeHist(relief, relief);
  const cv::Mat emboss = (cv::Mat_<float>(3, 3) << -2, -1, 0, -1, 1, 1, 0, 1, 2);
  cv::filter2D(relief, relief, CV_8U, emboss);
  relief.convertTo(relief, CV_32F);
  cv::blur(relief, relief, {3, 3});
  return relief;
}

}  // namespace

void fog(cv::Mat& x, const ParameterValues& p, bool, Random& random) {
  const int side = power_of_two_from(std::max(x.rows, x.cols));
  const std::vector<float> map = height_map(side, p[1], random);
  const auto strength = static_cast<float>(p[0]);
  const int channels = x.channels(), line = x.cols * channels;
  float brightest = 0;
  for (int y = 0; y < x.rows; ++y)
    brightest = std::max(brightest, *std::max_element(x.ptr<float>(y), x.ptr<float>(y) + line));
  const float scale = brightest / (brightest + strength);
  for (int y = 0; y < x.rows; ++y) {
    float* v = x.ptr<float>(y);
    const float* fog_row = map.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(side);
    for (int i = 0; i < line; ++i) v[i] = (v[i] + strength * fog_row[i / channels]) * scale;
  }
}

void snow(cv::Mat& x, const ParameterValues& p, bool, Random& random) {
  cv::Mat layer = float_picture::zoomed(float_picture::normal_field(x.rows, x.cols, p[0], p[1], random), p[2]);
  const auto threshold = static_cast<float>(p[3]);
  float* flakes = layer.ptr<float>();
  for (std::size_t i = 0; i < layer.total(); ++i) flakes[i] = flakes[i] < threshold ? 0.0F : std::min(flakes[i], 1.0F);
  layer = float_picture::one_sided_motion(layer, 2 * static_cast<int>(p[4]) + 1, p[5],
                                          random.uniform(-0.75 * kPi, -0.25 * kPi));
  const cv::Mat luma = float_picture::gray(x);
  const auto mix = static_cast<float>(p[6]);
  const int channels = x.channels();
  const std::size_t pixels = x.total();
  float* v = x.ptr<float>();
  for (std::size_t i = 0; i < pixels; ++i, v += channels) {
    const float white = luma.ptr<float>()[i] * 1.5F + 0.5F;
    const float fall = layer.ptr<float>()[i] + layer.ptr<float>()[pixels - 1 - i];  // and turned by 180 degrees
    for (int c = 0; c < channels; ++c) v[c] = mix * v[c] + (1 - mix) * std::max(v[c], white) + fall;
  }
}

void spatter(cv::Mat& x, const ParameterValues& p, bool, Random& random) {
  cv::Mat layer = float_picture::gaussian_blur(float_picture::normal_field(x.rows, x.cols, p[0], p[1], random), p[2]);
  const auto threshold = static_cast<float>(p[3]);
  const bool mud = p[5] > 0;
  float* drops = layer.ptr<float>();
  for (std::size_t i = 0; i < layer.total(); ++i) drops[i] = drops[i] < threshold ? 0.0F : (mud ? 1.0F : drops[i]);
  const int channels = x.channels();
  const std::array<float, 3> colour = mud ? colour_for(channels, 63 / 255.0F, 42 / 255.0F, 20 / 255.0F)
                                          : colour_for(channels, 175 / 255.0F, 238 / 255.0F, 238 / 255.0F);
  cv::Mat mask;
  if (mud) {
    mask = float_picture::gaussian_blur(layer, p[4]);
  } else {
    mask = layer.mul(drop_relief(layer));
    double highest = 0;
    cv::minMaxLoc(mask, nullptr, &highest);
    mask *= highest > 0 ? p[4] / highest : 0.0;
  }
  float* v = x.ptr<float>();
  for (std::size_t i = 0; i < x.total(); ++i, v += channels) {
    const float m = mask.ptr<float>()[i];
    for (int c = 0; c < channels; ++c) {
      const float tint = colour[static_cast<std::size_t>(c)];
      if (!mud) v[c] += tint * m;
      if (mud && m >= 0.8F) v[c] = v[c] * (1 - m) + tint * m;
    }
  }
}

}  // namespace bitpilot::families
