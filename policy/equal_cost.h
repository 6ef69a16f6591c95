#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "env/outcomes.h"
#include "policy/static_hull.h"
#include "policy/threshold_cascade.h"

namespace bitpilot {

/// A static configuration judged on the same pictures as what it is compared with: an anchor of the model, one searched on
/// it, or a model trained alone.
struct StaticRival {
  std::string name;
  double relative = 0;
  std::vector<std::uint8_t> correct;  ///< [N]
};
/// Every anchor of a model.  `costs`: of first looks.
std::vector<StaticRival> anchors_as_statics(const ModelData& model, const OutcomeTable& table, const std::vector<double>& costs);
StaticHull hull_of(const std::vector<StaticRival>& statics);

/// Paired bootstrap over the pictures of a table.
struct Pairing {
  const std::vector<std::uint32_t>* picture = nullptr;  ///< [N] rows of one picture are drawn together
  std::uint64_t seed = 0;
  int resamples = 1000;
};

/// What was right [N] at a mean cost against the static hull at that cost: {accuracy, low, high, share, gain}.
nlohmann::json against_hull(const std::vector<std::uint8_t>& correct, double relative, const std::vector<StaticRival>& statics,
                            const Pairing& pairing);
/// The same against a threshold cascade at that cost: {first, second, threshold, relative, accuracy, gain}, and against the same pair where
/// it may spend 1 / 0.9 of that: {gain_over_dearer}.  Not below 0 there: as good at a tenth less cost.
nlohmann::json against_cascade(const std::vector<std::uint8_t>& correct, double relative, const CascadeCurve& cascade,
                               const ModelData& model, const Pairing& pairing);

}  // namespace bitpilot
