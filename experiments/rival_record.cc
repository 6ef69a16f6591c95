#include "experiments/rival_record.h"

#include <numeric>

#include "policy/equal_cost.h"
#include "policy/paired_bootstrap.h"
#include "policy/random_bits.h"
#include "runtime/commands/eval_tally.h"
#include "runtime/kernels/kernels.h"

namespace bitpilot {
namespace {

using nlohmann::json;

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::uint64_t hits(const std::vector<std::uint8_t>& correct) { return static_cast<std::uint64_t>(std::accumulate(correct.begin(), correct.end(), 0)); }

json against_random(const RivalGround& ground, const KnownPictures& pictures, const PictureOutcomes& ours, double relative,
                    std::uint64_t seed) {
  const std::vector<BitConfig> configs = random_bits(ground.data().space, ground.bops, relative, pictures.table.size(), seed);
  const PictureOutcomes theirs = run_configs(ground.model, ground.bops, pictures.table.size(), pictures.at,
                                             [&](std::size_t i) -> const BitConfig& { return configs[i]; }, ground.threads);
  return {{"relative", mean(theirs.relative)},
          {"accuracy", share_right(theirs.correct)},
          {"gain", interval_json(paired_gain(ours.correct, {theirs.correct.begin(), theirs.correct.end()}, pictures.table.index, seed,
                                             Pairing{}.resamples))}};
}

/// `best`: the cascade that is best on validation at the rival's cost, by its place in all_cascades().
json judged(const RivalGround& ground, const KnownPictures& pictures, const PictureOutcomes& outcomes,
            const std::vector<CascadeCurve>& cascades, std::size_t best, std::uint64_t seed) {
  const double relative = mean(outcomes.relative);
  const auto [low, high] = wilson_interval(hits(outcomes.correct), outcomes.correct.size());
  const Pairing pairing{&pictures.table.index, seed};
  return {{"images", outcomes.correct.size()},
          {"accuracy", share_right(outcomes.correct)},
          {"accuracy_ci95", {low, high}},
          {"relative", relative},
          {"loss", mean(outcomes.loss)},
          {"reward", ground.reward(outcomes)},
          {"hull", against_hull(outcomes.correct, relative, anchors_as_statics(ground.data(), pictures.table, ground.costs.first), pairing)},
          {"cascade", against_cascade(outcomes.correct, relative, cascades[best], ground.data(), pairing)},
          {"random_bits", against_random(ground, pictures, outcomes, relative, seed + 1)}};
}

}  // namespace

json rival_record(const RivalGround& ground, const RivalRequest& request, const LearnedRival& rival) {
  const auto cascades_of = [&](const KnownPictures& pictures) {
    return all_cascades(pictures.table, ground.temperatures, ground.cascade_costs());
  };
  const PictureOutcomes outcomes = rival.decide(ground.judge);
  const std::vector<CascadeCurve> cascades = cascades_of(ground.judge);
  const std::size_t best = best_cascade(cascades, mean(outcomes.relative));
  json record{{"schema", "bitpilot.rival/1"},
              {"name", ground.recipe.name},
              {"method", request.method},
              {"seed", request.seed},
              {"backbone", ground.recipe.backbone},
              {"data", ground.splits.name},
              {"mixture", standard_mixture().hash},
              {"model", ground.model->hash()},
              {"isa", ground.model->kernels().name},
              {"lambda", ground.lambda},
              {"evaluations", rival.evaluations},
              {"seconds", rival.seconds},
              {"pass_seconds", ground.pass_seconds},
              {"details", rival.details},
              {"curve", rival.curve}};
  record["validation"] = judged(ground, ground.judge, outcomes, cascades, best, request.seed);
  for (const EvaluationSet which : kEvaluationSets) {
    const KnownPictures pictures = evaluation_pictures(ground, which);
    record["sets"][evaluation_set_name(which)] =
        judged(ground, pictures, rival.decide(pictures), cascades_of(pictures), best, request.seed);
  }
  return record;
}

}  // namespace bitpilot
