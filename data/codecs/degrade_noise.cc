#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "data/codecs/degrade_families.h"
#include "data/codecs/float_picture.h"

namespace bitpilot::families {
namespace {

/// Cumulative Poisson distributions for the 256 grey levels at one photon count: a draw is one search instead of a loop
/// over photons.
class PoissonTable {
 public:
  explicit PoissonTable(double photons) {
    starts_.push_back(0);
    for (int level = 0; level < 256; ++level) {
      const double mean = photons * level / 255.0;
      const int most = static_cast<int>(mean + 8 * std::sqrt(mean) + 8);
      double probability = std::exp(-mean), sum = probability;
      for (int k = 0; k < most; ++k) {
        cumulative_.push_back(sum);
        probability *= mean / (k + 1);
        sum += probability;
      }
      starts_.push_back(cumulative_.size());
    }
  }
  int draw(int level, double uniform) const {
    const auto first = cumulative_.begin() + static_cast<std::ptrdiff_t>(starts_[static_cast<std::size_t>(level)]);
    const auto last = cumulative_.begin() + static_cast<std::ptrdiff_t>(starts_[static_cast<std::size_t>(level) + 1]);
    return static_cast<int>(std::upper_bound(first, last, uniform) - first);
  }

 private:
  std::vector<double> cumulative_;
  std::vector<std::size_t> starts_;
};

const PoissonTable& poisson_table(double photons) {
  static const std::map<double, PoissonTable> tables = [] {
    std::map<double, PoissonTable> all;
    for (const bool small : {true, false})
      for (int severity = 1; severity <= 5; ++severity) {
        const double count = parameter_values("shot_noise", severity, small)[0];
        all.try_emplace(count, count);
      }
    return all;
  }();
  return tables.at(photons);
}

std::size_t values(const cv::Mat& x) { return x.total() * static_cast<std::size_t>(x.channels()); }

}  // namespace

void gaussian_noise(cv::Mat& x, const ParameterValues& p, bool, Random& random) {
  float* v = x.ptr<float>();
  for (std::size_t i = 0; i < values(x); ++i) v[i] += static_cast<float>(p[0] * float_picture::normal(random));
}

void shot_noise(cv::Mat& x, const ParameterValues& p, bool, Random& random) {
  const PoissonTable& table = poisson_table(p[0]);
  float* v = x.ptr<float>();
  for (std::size_t i = 0; i < values(x); ++i)
    v[i] = static_cast<float>(table.draw(static_cast<int>(v[i] * 255.0F + 0.5F), random.uniform())) /
           static_cast<float>(p[0]);
}

void impulse(cv::Mat& x, const ParameterValues& p, bool, Random& random) {
  float* v = x.ptr<float>();
  for (std::size_t i = 0; i < values(x); ++i) {
    const double u = random.uniform();
    if (u < p[0]) v[i] = u < 0.5 * p[0] ? 0.0F : 1.0F;
  }
}

void speckle(cv::Mat& x, const ParameterValues& p, bool, Random& random) {
  float* v = x.ptr<float>();
  for (std::size_t i = 0; i < values(x); ++i) v[i] += v[i] * static_cast<float>(p[0] * float_picture::normal(random));
}

}  // namespace bitpilot::families
