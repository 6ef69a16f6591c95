#include "policy/static_hull.h"

#include <algorithm>
#include <limits>

#include "runtime/core/error.h"

namespace bitpilot {

std::vector<double> HullMix::right(const std::vector<std::uint8_t>& of_low, const std::vector<std::uint8_t>& of_high) const {
  std::vector<double> expected(of_low.size());
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = (1 - share) * of_low[i] + share * of_high[i];
  return expected;
}

StaticHull::StaticHull(std::vector<HullPoint> points) {
  if (points.empty()) throw Error(ExitCode::kBug, "a hull needs at least one point", "StaticHull", "report this");
  std::stable_sort(points.begin(), points.end(), [](const HullPoint& a, const HullPoint& b) {
    return a.relative != b.relative ? a.relative < b.relative : a.accuracy > b.accuracy;
  });
  for (const HullPoint& point : points) {
    if (!points_.empty() && point.accuracy <= points_.back().accuracy) continue;
    while (points_.size() >= 2) {
      const HullPoint &a = points_[points_.size() - 2], &b = points_.back();
      const double through =
          a.accuracy + (point.accuracy - a.accuracy) * (b.relative - a.relative) / (point.relative - a.relative);
      if (b.accuracy > through) break;
      points_.pop_back();
    }
    points_.push_back(point);
  }
}

HullMix StaticHull::at(double relative) const {
  if (relative <= points_.front().relative) return {points_.front(), points_.front(), 0, points_.front().accuracy};
  for (std::size_t i = 1; i < points_.size(); ++i) {
    if (relative > points_[i].relative) continue;
    const HullPoint &a = points_[i - 1], &b = points_[i];
    const double share = (relative - a.relative) / (b.relative - a.relative);
    return {a, b, share, a.accuracy + share * (b.accuracy - a.accuracy)};
  }
  return {points_.back(), points_.back(), 0, points_.back().accuracy};
}

double StaticHull::cost_of(double accuracy) const {
  if (accuracy <= points_.front().accuracy) return points_.front().relative;
  for (std::size_t i = 1; i < points_.size(); ++i) {
    const HullPoint &a = points_[i - 1], &b = points_[i];
    if (accuracy <= b.accuracy)
      return a.relative + (b.relative - a.relative) * (accuracy - a.accuracy) / (b.accuracy - a.accuracy);
  }
  return std::numeric_limits<double>::infinity();
}

}  // namespace bitpilot
