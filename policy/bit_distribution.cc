#include "policy/bit_distribution.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

constexpr double kEdge = 1e-4;    // u and y are kept this far from 0 and 1
constexpr int kQuadrature = 512;  // midpoint rule
constexpr double kPi = 3.14159265358979323846;

double logit(double y) { return std::log(y / (1 - y)); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double normal_density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * kPi); }

struct Truncation {
  double a, b, z;
  Truncation(double mean, double spread)
      : a(-mean / spread), b((1 - mean) / spread), z(normal_cdf(b) - normal_cdf(a)) {}
};

}  // namespace

BitFamily bit_family(const std::string& name, const std::string& where) {
  if (name == "logistic") return BitFamily::kLogistic;
  if (name == "truncated_normal") return BitFamily::kTruncatedNormal;
  const std::string near = nearest_name(name, {"logistic", "truncated_normal"});
  throw Error(ExitCode::kData, "unknown distribution '" + name + "'", where,
              near.empty() ? "use logistic or truncated_normal" : "did you mean '" + near + "'?");
}

const char* bit_family_name(BitFamily family) {
  return family == BitFamily::kLogistic ? "logistic" : "truncated_normal";
}

double BitDistribution::sample(double u) const {
  const double inside = std::clamp(u, kEdge, 1 - kEdge);
  if (family == BitFamily::kLogistic) return sigmoid(mean + spread * logit(inside));
  const Truncation t(mean, spread);
  return std::clamp(mean + spread * normal_quantile(normal_cdf(t.a) + inside * t.z), 0.0, 1.0);
}

double BitDistribution::log_density(double y) const {
  if (family == BitFamily::kLogistic) {
    const double s = (logit(y) - mean) / spread;
    return -std::log(spread) - s - 2 * std::log1p(std::exp(-s)) - std::log(y * (1 - y));
  }
  const Truncation t(mean, spread);
  const double s = (y - mean) / spread;
  return -0.5 * s * s - std::log(std::sqrt(2 * kPi) * spread * t.z);
}

double BitDistribution::cdf(double y) const {
  if (y <= 0) return 0;
  if (y >= 1) return 1;
  if (family == BitFamily::kLogistic) return sigmoid((logit(y) - mean) / spread);
  const Truncation t(mean, spread);
  return (normal_cdf((y - mean) / spread) - normal_cdf(t.a)) / t.z;
}

double BitDistribution::entropy() const {
  if (family == BitFamily::kTruncatedNormal) {
    const Truncation t(mean, spread);
    return std::log(std::sqrt(2 * kPi * std::exp(1.0)) * spread * t.z) +
           (t.a * normal_density(t.a) - t.b * normal_density(t.b)) / (2 * t.z);
  }
  // H(y) = H(logit y) + E[log(y (1 - y))], and a logistic variable's entropy is log(spread) + 2.
  double sum = 0;
  for (int i = 0; i < kQuadrature; ++i) {
    const double x = mean + spread * logit((i + 0.5) / kQuadrature);
    sum += -std::abs(x) - 2 * std::log1p(std::exp(-std::abs(x)));
  }
  return std::log(spread) + 2 + sum / kQuadrature;
}

double BitDistribution::median() const { return family == BitFamily::kLogistic ? sigmoid(mean) : sample(0.5); }

std::vector<double> BitDistribution::rung_probabilities(int rungs) const {
  std::vector<double> result;
  for (int r = 0; r < rungs; ++r) result.push_back(cdf((r + 1.0) / rungs) - cdf(static_cast<double>(r) / rungs));
  return result;
}

BitDistribution BitDistribution::at_position(BitFamily family, double position, int rungs, double spread) {
  const double y = ladder_y(position, rungs);
  return {family, family == BitFamily::kLogistic ? logit(std::clamp(y, kEdge, 1 - kEdge)) : y, spread};
}

double ladder_position(double y, int rungs) { return std::clamp(y * rungs - 0.5, 0.0, rungs - 1.0); }
double ladder_y(double position, int rungs) { return (position + 0.5) / rungs; }

double bits_between(const std::vector<int>& ladder, double position) {
  const double clamped = std::clamp(position, 0.0, static_cast<double>(ladder.size()) - 1);
  // The lower rung never is the last one, so that at an integer position both rungs still differ.
  const auto low = ladder.size() < 2 ? std::size_t{0} : std::min(static_cast<std::size_t>(clamped), ladder.size() - 2);
  const std::size_t high = std::min(low + 1, ladder.size() - 1);
  return ladder[low] + (clamped - static_cast<double>(low)) * (ladder[high] - ladder[low]);
}

int nearest_rung(double position, int rungs) {
  return static_cast<int>(std::ceil(std::clamp(position, 0.0, rungs - 1.0) - 0.5));
}

BitMoments bit_moments(const BitDistribution& distribution, const std::vector<int>& ladder) {
  double sum = 0, square = 0;
  for (int i = 0; i < kQuadrature; ++i) {
    const double y = distribution.sample((i + 0.5) / kQuadrature);
    const double bits = bits_between(ladder, ladder_position(y, static_cast<int>(ladder.size())));
    sum += bits / kQuadrature;
    square += bits * bits / kQuadrature;
  }
  return {sum, std::sqrt(std::max(0.0, square - sum * sum))};
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

double normal_quantile(double p) {
  double low = -40, high = 40, x = 0;
  for (int step = 0; step < 200 && high - low > 1e-13; ++step) {
    const double error = normal_cdf(x) - p;
    if (error == 0) return x;
    (error > 0 ? high : low) = x;
    const double newton = x - error / std::max(normal_density(x), 1e-300);
    const double next = newton >= low && newton <= high ? newton : 0.5 * (low + high);
    if (next == x) return x;  // no representable number is nearer
    x = next;
  }
  return x;
}

}  // namespace bitpilot
