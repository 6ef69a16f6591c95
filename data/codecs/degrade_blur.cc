#include <cmath>
#include <vector>

#include "data/codecs/degrade_families.h"
#include "data/codecs/float_picture.h"

namespace bitpilot::families {
namespace {

constexpr double kPi = 3.141592653589793;

/// Line of `length` pixels through the centre, each touched pixel with the same weight.
std::vector<float_picture::Tap> centred_line(int length, double angle) {
  std::vector<float_picture::Tap> taps;
  const int reach = length / 2, steps = 4 * length;
  for (int i = 0; i < steps; ++i) {
    const double t = -reach + 2.0 * reach * i / (steps - 1);
    const int dx = static_cast<int>(std::lround(t * std::cos(angle))),
              dy = static_cast<int>(std::lround(t * std::sin(angle)));
    bool known = false;
    for (const float_picture::Tap& tap : taps) known = known || (tap.dx == dx && tap.dy == dy);
    if (!known) taps.push_back({dx, dy, 1.0F});
  }
  return taps;
}

/// Disk; `alias_sigma` 0: edge pixels weigh by how far they lie inside, otherwise a hard disk blurred by a small
/// Gaussian.
std::vector<float_picture::Tap> disk(double radius, double alias_sigma) {
  const int reach = static_cast<int>(radius + 3);
  cv::Mat kernel = cv::Mat::zeros(2 * reach + 1, 2 * reach + 1, CV_32FC1);
  for (int dy = -reach; dy <= reach; ++dy)
    for (int dx = -reach; dx <= reach; ++dx) {
      const double distance = std::sqrt(static_cast<double>(dx * dx + dy * dy));
      const double inside =
          alias_sigma > 0 ? (distance <= radius ? 1.0 : 0.0) : std::min(std::max(radius + 0.5 - distance, 0.0), 1.0);
      kernel.at<float>(dy + reach, dx + reach) = static_cast<float>(inside);
    }
  if (alias_sigma > 0) kernel = float_picture::gaussian_blur(kernel, alias_sigma, (radius <= 8 ? 1 : 2) / alias_sigma);
  std::vector<float_picture::Tap> taps;
  for (int dy = -reach; dy <= reach; ++dy)
    for (int dx = -reach; dx <= reach; ++dx)
      if (kernel.at<float>(dy + reach, dx + reach) > 0)
        taps.push_back({dx, dy, kernel.at<float>(dy + reach, dx + reach)});
  return taps;
}

}  // namespace

void gaussian_blur(cv::Mat& x, const ParameterValues& p, bool, Random&) { x = float_picture::gaussian_blur(x, p[0]); }

void glass(cv::Mat& x, const ParameterValues& p, bool, Random& random) {
  x = float_picture::gaussian_blur(x, p[0]).clone();
  const int reach = static_cast<int>(p[1]), sweeps = static_cast<int>(p[2]), channels = x.channels();
  for (int sweep = 0; sweep < sweeps; ++sweep)
    for (int row = x.rows - reach - 1; row >= reach; --row)
      for (int column = x.cols - reach - 1; column >= reach; --column) {
        const auto span = static_cast<std::uint64_t>(2 * reach + 1);
        const int dx = static_cast<int>(random.below(span)) - reach, dy = static_cast<int>(random.below(span)) - reach;
        float *here = x.ptr<float>(row) + column * channels, *there = x.ptr<float>(row + dy) + (column + dx) * channels;
        for (int c = 0; c < channels; ++c) std::swap(here[c], there[c]);
      }
  x = float_picture::gaussian_blur(x, p[0]);
}

void defocus(cv::Mat& x, const ParameterValues& p, bool, Random&) { x = float_picture::convolve(x, disk(p[0], p[1])); }

void motion(cv::Mat& x, const ParameterValues& p, bool small, Random& random) {
  const int length = static_cast<int>(p[0]);
  if (small)
    x = float_picture::convolve(x, centred_line(length, random.uniform(0, kPi)));
  else
    x = float_picture::one_sided_motion(x, length, p[1], random.uniform(-kPi / 4, kPi / 4));
}

void zoom(cv::Mat& x, const ParameterValues& p, bool, Random&) {
  const int count = static_cast<int>(p[2]);
  cv::Mat sum = x.clone();
  for (int i = 0; i < count; ++i) sum += float_picture::zoomed(x, 1 + i * p[1]);
  x = sum * (1.0 / (count + 1));
}

}  // namespace bitpilot::families
