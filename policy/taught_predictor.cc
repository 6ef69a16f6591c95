#include "policy/taught_predictor.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace bitpilot {
namespace {

nlohmann::json agreement_json(const RankAgreement& agreement) {
  return {{"kendall", agreement.kendall}, {"kendall_in_bands", agreement.in_bands.kendall}, {"pairs_in_bands", agreement.in_bands.pairs}};
}

}  // namespace

void JudgedSubnets::add(const Subnet& subnet, const SearchPoint& judged, double cost) {
  subnets.push_back(subnet);
  accuracies.push_back(judged.accuracy);
  losses.push_back(judged.loss);
  costs.push_back(cost);
}

JudgedSubnets JudgedSubnets::part(std::size_t from, std::size_t to) const {
  const auto cut = [&](const auto& list) {
    return std::decay_t<decltype(list)>(list.begin() + static_cast<std::ptrdiff_t>(from), list.begin() + static_cast<std::ptrdiff_t>(to));
  };
  return {cut(subnets), cut(accuracies), cut(losses), cut(costs)};
}

RankAgreement rank_agreement(const std::vector<double>& ranking, const JudgedSubnets& real) {
  return {kendall(ranking, real.accuracies), kendall_in_bands(ranking, real.accuracies, real.costs)};
}

TaughtPredictor teach_predictor(const JudgedSubnets& judged, std::size_t taught, const BitSpace& space, const PredictorOptions& options) {
  const JudgedSubnets lessons = judged.part(0, taught), held_back = judged.part(taught, judged.subnets.size());
  TaughtPredictor result{AccuracyPredictor(lessons.subnets, lessons.accuracies, options), {taught, held_back.subnets.size(), {}, {}, {}}};
  std::vector<double> bits, sureness;
  for (const Subnet& subnet : held_back.subnets) bits.push_back(mean_bits(subnet.config, space));
  for (const double loss : held_back.losses) sureness.push_back(-loss);
  result.report.learned = rank_agreement(result.predictor.predict(held_back.subnets), held_back);
  result.report.mean_bits = rank_agreement(bits, held_back);
  result.report.loss = rank_agreement(sureness, held_back);
  return result;
}

nlohmann::json to_json(const PredictorReport& report) {
  return {{"taught", report.taught},
          {"held_back", report.held_back},
          {"learned", agreement_json(report.learned)},
          {"mean_bits", agreement_json(report.mean_bits)},
          {"loss", agreement_json(report.loss)}};
}

std::string predictor_warning(const PredictorReport& report) {
  const RankAgreement &learned = report.learned, &bits = report.mean_bits;
  if (learned.kendall >= bits.kendall && learned.in_bands.kendall >= bits.in_bands.kendall) return "";
  char text[256];
  std::snprintf(text, sizeof text,
                "the predictor ranks %zu held-back configurations worse than their mean bits do: Kendall %.2f against %.2f, among those of like "
                "cost %.2f against %.2f; judge on more pictures",
                report.held_back, learned.kendall, bits.kendall, learned.in_bands.kendall, bits.in_bands.kendall);
  return text;
}

}  // namespace bitpilot
