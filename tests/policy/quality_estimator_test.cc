#include "policy/quality_estimator.h"

#include <doctest/doctest.h>

#include "env/reward_model.h"
#include "policy/export.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;
using bitpilot::testing::synthetic_model;

namespace {

/// Pictures of one family each: its severity shows in the statistics numbered `shows`, over noise of 0.5 steps.
OutcomeTable pictures_of(const ModelData& model, const std::vector<std::vector<int>>& shows, std::size_t count, std::uint64_t seed) {
  OutcomeTable table = bitpilot::testing::synthetic_outcomes(model, count, {.seed = seed, .visible = 0});
  table.families.clear();
  for (std::size_t f = 0; f < shows.size(); ++f) table.families.push_back("family " + std::to_string(f));
  for (std::size_t i = 0; i < count; ++i) {
    Random random(seed, "severities", i);
    const auto family = static_cast<std::size_t>(random.below(shows.size()));
    table.family[i] = static_cast<std::uint16_t>(family);
    table.severity[i] = static_cast<std::uint8_t>(random.below(6));
    for (const int s : shows[family])
      table.statistics[i * kStatisticsCount + static_cast<std::size_t>(s)] += static_cast<float>(2.0 * (table.severity[i] + 0.5 * random.normal()));
  }
  return table;
}

/// How the estimated severity ranks the true one.
double rank_correlation(const OutcomeTable& table, int pixels, const PolicyParameters& p) {
  const Rows estimated = apply_integer(p.severity, estimator_embedding(table, pixels, p));
  return spearman({estimated.values.begin(), estimated.values.end()}, {table.severity.begin(), table.severity.end()});
}

}  // namespace

TEST_CASE("policy/quality_estimator: severities of trained families are ranked on new pictures; an unseen family drops as far as it differs") {
  const ModelData model = synthetic_model();
  const int pixels = stem_pixels(model);
  const std::vector<float> temperatures(model.anchors.size(), 1.0F);
  EstimatorOptions options;
  options.stem = false;
  options.epochs = 15;
  PolicyParameters p;
  fit_quality_estimator(pictures_of(model, {{0, 1}, {3, 4}}, 3000, 1), temperatures, pixels, options, p);
  const double seen = rank_correlation(pictures_of(model, {{0, 1}, {3, 4}}, 1500, 2), pixels, p),
               like_a_seen_one = rank_correlation(pictures_of(model, {{0, 4}}, 1500, 3), pixels, p),
               unlike = rank_correlation(pictures_of(model, {{7}}, 1500, 4), pixels, p);
  MESSAGE("rank correlation: seen ", seen, ", unseen but alike ", like_a_seen_one, ", unseen and unlike ", unlike);
  CHECK(seen > 0.8);
  CHECK(like_a_seen_one > 0.4);  // half of what either trained family shows
  CHECK(like_a_seen_one < seen);
  CHECK(unlike < 0.3);
  // It reads the picture alone: other labels and severities leave the estimate as it is.
  OutcomeTable relabelled = pictures_of(model, {{0, 1}, {3, 4}}, 200, 5);
  const Rows before = estimator_embedding(relabelled, pixels, p);
  std::fill(relabelled.severity.begin(), relabelled.severity.end(), std::uint8_t{0});
  std::fill(relabelled.labels.begin(), relabelled.labels.end(), 0);
  CHECK((estimator_embedding(relabelled, pixels, p).values == before.values));
}
