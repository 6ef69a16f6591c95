#include "policy/taught_predictor.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace bitpilot {
namespace {

nlohmann::json agreement_json(const RankAgreement& agreement) {
  return {{"kendall", agreement.kendall}, {"kendall_in_bands", agreement.in_bands.kendall}, {"pairs_in_bands", agreement.in_bands.pairs}};
}

RankAgreement agreement_of(const std::vector<double>& ranking, const std::vector<double>& quality, const JudgedSubnets& of) {
  return {kendall(ranking, quality), kendall_in_bands(ranking, quality, of.costs)};
}

std::vector<double> negated(std::vector<double> losses) {
  for (double& loss : losses) loss = -loss;
  return losses;
}

}  // namespace

void JudgedSubnets::add(const Subnet& subnet, const SearchPoint& judged, double cost) {
  subnets.push_back(subnet);
  accuracies.push_back(judged.accuracy);
  losses.push_back(judged.loss);
  costs.push_back(cost);
}

TaughtPredictor teach_predictor(const JudgedSubnets& lessons, const JudgedSubnets& tested, const BitSpace& space, const PredictorOptions& options) {
  TaughtPredictor result{AccuracyPredictor(lessons.subnets, negated(lessons.losses), options), {lessons.subnets.size(), tested.subnets.size(), {}, {}}};
  std::vector<double> bits;
  for (const Subnet& subnet : tested.subnets) bits.push_back(mean_bits(subnet.config, space));
  const std::vector<double> learned = result.predictor.predict(tested.subnets), sureness = negated(tested.losses);
  result.report.loss = {agreement_of(learned, sureness, tested), agreement_of(bits, sureness, tested)};
  result.report.accuracy = {agreement_of(learned, tested.accuracies, tested), agreement_of(bits, tested.accuracies, tested),
                            agreement_of(sureness, tested.accuracies, tested)};
  return result;
}

nlohmann::json to_json(const PredictorReport& report) {
  const auto& loss = report.loss;
  const auto& accuracy = report.accuracy;
  return {{"taught", report.taught},
          {"tested", report.tested},
          {"loss", {{"learned", agreement_json(loss.learned)}, {"mean_bits", agreement_json(loss.mean_bits)}}},
          {"accuracy", {{"learned", agreement_json(accuracy.learned)}, {"mean_bits", agreement_json(accuracy.mean_bits)}, {"loss", agreement_json(accuracy.loss)}}}};
}

std::string predictor_warning(const PredictorReport& report) {
  const RankAgreement &learned = report.loss.learned, &bits = report.loss.mean_bits;
  if (learned.kendall >= bits.kendall && learned.in_bands.kendall >= bits.in_bands.kendall) return "";
  char text[256];
  std::snprintf(text, sizeof text,
                "the predictor ranks %zu configurations that it was not taught on worse than their mean bits do: Kendall %.2f against %.2f, among "
                "those of like cost %.2f against %.2f; judge on more pictures",
                report.tested, learned.kendall, bits.kendall, learned.in_bands.kendall, bits.in_bands.kendall);
  return text;
}

}  // namespace bitpilot
