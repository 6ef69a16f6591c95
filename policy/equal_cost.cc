#include "policy/equal_cost.h"

#include "policy/paired_bootstrap.h"

namespace bitpilot {

using nlohmann::json;

namespace {

json gain_json(const std::vector<std::uint8_t>& ours, const std::vector<double>& theirs, const Pairing& pairing) {
  return interval_json(paired_gain(ours, theirs, *pairing.picture, pairing.seed, pairing.resamples));
}

}  // namespace

std::vector<StaticRival> anchors_as_statics(const ModelData& model, const OutcomeTable& table, const std::vector<double>& costs) {
  std::vector<StaticRival> statics;
  for (std::size_t k = 0; k < model.anchors.size(); ++k) {
    StaticRival anchor{model.anchors[k].name, costs[k], std::vector<std::uint8_t>(table.size())};
    for (std::size_t i = 0; i < table.size(); ++i) anchor.correct[i] = table.correct(i, k) ? 1 : 0;
    statics.push_back(std::move(anchor));
  }
  return statics;
}

StaticHull hull_of(const std::vector<StaticRival>& statics) {
  std::vector<HullPoint> points;
  for (std::size_t s = 0; s < statics.size(); ++s)
    points.push_back({statics[s].name, statics[s].relative, share_right(statics[s].correct), static_cast<int>(s)});
  return StaticHull(std::move(points));
}

json against_hull(const std::vector<std::uint8_t>& correct, double relative, const std::vector<StaticRival>& statics,
                  const Pairing& pairing) {
  const HullMix mix = hull_of(statics).at(relative);
  const auto &low = statics[static_cast<std::size_t>(mix.low.index)].correct,
             &high = statics[static_cast<std::size_t>(mix.high.index)].correct;
  return {{"accuracy", mix.accuracy},
          {"low", mix.low.name},
          {"high", mix.high.name},
          {"share", mix.share},
          {"gain", gain_json(correct, mix.right(low, high), pairing)}};
}

json against_cascade(const std::vector<std::uint8_t>& correct, double relative, const CascadeCurve& cascade, const ModelData& model,
                     const Pairing& pairing) {
  constexpr double kTenthLess = 0.9;
  const Cascade at = cascade.at_cost(relative);
  const auto gain_at = [&](double spent) {
    const std::vector<std::uint8_t> theirs = cascade.correct_at(spent);
    return gain_json(correct, {theirs.begin(), theirs.end()}, pairing);
  };
  return {{"first", model.anchors[static_cast<std::size_t>(at.first)].name},
          {"second", model.anchors[static_cast<std::size_t>(at.second)].name},
          {"threshold", at.threshold},
          {"relative", at.relative},
          {"accuracy", at.accuracy},
          {"gain", gain_at(relative)},
          {"gain_over_dearer", gain_at(relative / kTenthLess)}};
}

}  // namespace bitpilot
