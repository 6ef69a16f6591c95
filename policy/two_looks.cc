#include "policy/two_looks.h"

#include <algorithm>
#include <numeric>

#include "env/observation.h"
#include "env/reward.h"
#include "policy/quality_estimator.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

// The prices that an input can tell apart, as of a fitted policy.
constexpr double kLowestLambda = 1e-3, kHighestLambda = 32;

SeenLook look_of(const OutcomeTable& table, const ModelData& model, std::size_t picture, int anchor) {
  const auto at = static_cast<std::size_t>(anchor);
  const auto scores = table.scores_of(picture, at);
  return summarise_look(anchor, static_cast<int>(table.anchors), {scores.begin(), scores.end()}, model.anchors[at].temperature);
}

}  // namespace

Standardiser Standardiser::of(const OutcomeTable& table, const ModelData& model) {
  Standardiser result;
  standardisation(picture_features(table, stem_pixels(model), /*stem=*/true), result.mean, result.scale);
  return result;
}

Rows standardised_features(const OutcomeTable& table, const ModelData& model, const Standardiser& standardiser) {
  Rows features = picture_features(table, stem_pixels(model), /*stem=*/true);
  standardise(features, standardiser.mean, standardiser.scale);
  return features;
}

TwoLooks::TwoLooks(const OutcomeTable& table, const ModelData& model, AnchorCosts costs, const Standardiser& standardiser)
    : table_(&table), model_(&model), costs_(std::move(costs)), features_(standardised_features(table, model, standardiser)) {
  if (table.anchors != model.anchors.size() || costs_.first.size() != table.anchors)
    throw Error(ExitCode::kBug, "outcomes of another model", "TwoLooks", "report this");
}

bool TwoLooks::dearer_exists(int anchor) const {
  return *std::max_element(costs_.first.begin(), costs_.first.end()) > costs_.first[static_cast<std::size_t>(anchor)];
}

EpisodeProcess::Turn TwoLooks::turn(std::size_t picture, double lambda, const std::vector<int>& taken) const {
  Turn turn;
  turn.state.assign(features_.row(picture).begin(), features_.row(picture).end());
  turn.state.push_back(static_cast<float>(lambda_code(lambda, kLowestLambda, kHighestLambda)) * kPolicyInputStep);
  const std::size_t anchors = costs_.first.size();
  std::vector<float> seen(anchors + 4, 0.0F);
  turn.allowed.assign(anchors + 1, 1);
  turn.allowed.back() = !taken.empty();
  if (!taken.empty()) {
    const int first = taken.front();
    const SeenLook look = look_of(*table_, *model_, picture, first);
    seen[static_cast<std::size_t>(first)] = 1;
    seen[anchors] = look.top;
    seen[anchors + 1] = look.second;
    seen[anchors + 2] = look.margin;
    seen[anchors + 3] = look.entropy;
    for (std::size_t k = 0; k < anchors; ++k)
      turn.allowed[k] = costs_.first[k] > costs_.first[static_cast<std::size_t>(first)];
  }
  turn.state.insert(turn.state.end(), seen.begin(), seen.end());
  return turn;
}

EpisodeProcess::Step TwoLooks::execute(std::size_t picture, double lambda, const std::vector<int>& taken) {
  const int action = taken.back();
  const bool again = taken.size() > 1, stops = action == stop();
  if (stops && !again) throw Error(ExitCode::kBug, "an episode needs a look before it stops", "TwoLooks", "report this");
  const auto last = static_cast<std::size_t>(stops ? taken.front() : action);
  Step step;
  if (!stops) {
    count_evaluation();
    step.reward = -lambda * (again ? costs_.second[last] : costs_.first[last]);
  }
  step.done = again || !dearer_exists(action);
  if (step.done)
    step.reward -= task_loss(table_->scores_of(picture, last), model_->anchors[last].temperature, table_->labels[picture]);
  return step;
}

std::vector<PolicyChoice> greedy_choices(TwoLooks& process, const RealMlp& policy, double lambda) {
  std::vector<std::size_t> pictures(process.pictures());
  std::iota(pictures.begin(), pictures.end(), std::size_t{0});
  std::vector<PolicyChoice> choices;
  for (const Episode& episode : run_episodes(process, policy, pictures, std::vector<double>(pictures.size(), lambda), nullptr)) {
    const std::vector<int> taken = episode.taken();
    const bool again = taken.size() > 1 && taken[1] != process.stop();
    choices.push_back({taken[0], again ? taken[1] : -1, false});
  }
  return choices;
}

}  // namespace bitpilot
