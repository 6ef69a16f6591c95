#pragma once

#include <vector>

#include "env/outcomes.h"

namespace bitpilot {

/// The plain rival: one fixed first look, one fixed second look, one threshold on the first look's top probability.
struct Cascade {
  int first = 0;
  int second = -1;       ///< -1: the first look alone
  double threshold = 0;  ///< second look when confidence < threshold
  double relative = 0;   ///< mean relative cost on the data it was judged on
  double accuracy = 0;
};

/// One anchor pair over a table, sorted once by confidence, so that any share of second looks is judged at once.
class CascadeCurve {
 public:
  CascadeCurve(const OutcomeTable& table, const std::vector<float>& temperatures, const AnchorCosts& costs, int first,
               int second);
  /// The cascade whose mean cost is nearest to `relative` from below (at least the first look alone, at most always
  /// both).
  Cascade at_cost(double relative) const;
  /// The cascade with a threshold that was chosen elsewhere.
  Cascade at_threshold(double threshold) const;
  /// Whether each picture is right under at_cost(relative), [N].
  std::vector<std::uint8_t> correct_at(double relative) const;
  int first() const { return first_; }
  int second() const { return second_; }

 private:
  std::size_t count_at(double relative) const;
  Cascade at_count(std::size_t count) const;
  int first_, second_;
  double first_cost_, second_cost_;
  std::vector<std::size_t> order_;                        ///< least sure first
  std::vector<float> confidence_;                         ///< in that order
  std::vector<std::uint8_t> right_first_, right_second_;  ///< [N], own order
  std::vector<double> gain_;                              ///< [N + 1] pictures won by second looks at the n least sure
  double base_ = 0;
};

/// Costs of looks that a threshold follows: a first look and its confidence, relative to `reference` BOPs.
AnchorCosts with_confidence(AnchorCosts costs, std::size_t classes, double reference);

/// Every pair of anchors with the second dearer than the first.
std::vector<CascadeCurve> all_cascades(const OutcomeTable& table, const std::vector<float>& temperatures,
                                       const AnchorCosts& costs);
/// Position in `curves` of the most accurate one at a cost (those that can spend at most that much).
std::size_t best_cascade(const std::vector<CascadeCurve>& curves, double relative);

}  // namespace bitpilot
