#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitpilot {

/// One point of a cost-accuracy plane.
struct HullPoint {
  std::string name;
  double relative = 0;
  double accuracy = 0;
  int index = -1;  ///< of the caller's list
};

/// A random mix of two points of the hull: `low` with 1 - share, `high` with `share`.
struct HullMix {
  HullPoint low, high;
  double share = 0;
  double accuracy = 0;
  /// Probability that the mix is right on each picture, [N], from what its two points were right on.
  std::vector<double> right(const std::vector<std::uint8_t>& of_low, const std::vector<std::uint8_t>& of_high) const;
};

/// The upper hull: every cost-accuracy pair that one point or a random mix of two reaches, accuracy not falling with
/// cost.
class StaticHull {
 public:
  /// Throws Error(kBug) without points.
  explicit StaticHull(std::vector<HullPoint> points);
  /// The best mix at an average cost; below the cheapest point that point, above the dearest of the hull the best one.
  HullMix at(double relative) const;
  double accuracy(double relative) const { return at(relative).accuracy; }
  /// Least average cost that reaches `accuracy`; infinity if none does.
  double cost_of(double accuracy) const;
  const std::vector<HullPoint>& points() const { return points_; }

 private:
  std::vector<HullPoint> points_;
};

}  // namespace bitpilot
