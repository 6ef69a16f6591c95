#include "experiments/rival_ground.h"

#include <filesystem>

#include "data/codecs/decode.h"
#include "env/reward.h"
#include "experiments/look_times.h"
#include "policy/prices.h"
#include "policy/threshold_cascade.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

constexpr std::size_t kTimedPictures = 128;

OutcomeTable known(const RivalGround& ground, const std::string& name, std::size_t count, const SampleAt& at) {
  if (ground.memory.empty()) return roll_out(ground.model, count, at, ground.threads);
  const std::string key = outcome_key(ground.data(), name + " x " + std::to_string(count) + " " + standard_mixture().hash + " " +
                                                         recipe_to_json(ground.recipe).dump());
  const std::string file = ground.memory + "/" + sha256(key).substr(0, 16) + ".outcomes";
  OutcomeTable table;
  if (load_outcomes(file, key, table)) return table;
  table = roll_out(ground.model, count, at, ground.threads);
  std::filesystem::create_directories(ground.memory);
  save_outcomes(table, key, file);
  return table;
}

/// Pictures [from, to) of `pictures` in every draw.
KnownPictures part(const OutcomeTable& table, const SampleAt& at, std::size_t pictures, std::size_t from, std::size_t to) {
  OutcomeTable rows;
  std::vector<std::size_t> numbers;
  for (std::size_t begin = 0; begin < table.size(); begin += pictures) {
    const OutcomeTable draw = table.rows(begin + from, begin + to);
    rows = begin == 0 ? draw : joined(rows, draw);
    for (std::size_t i = begin + from; i < begin + to; ++i) numbers.push_back(i);
  }
  return {std::move(rows), [at, numbers](std::size_t i) { return at(numbers[i]); }};
}

double mean_pass_seconds(const RivalGround& ground) {
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < std::min(kTimedPictures, ground.judge.table.size()); ++i) samples.push_back(ground.judge.at(i));
  std::vector<TimedRule> rules;
  for (std::size_t k = 0; k < ground.data().anchors.size(); ++k) rules.push_back({.model = ground.model, .anchor = static_cast<int>(k)});
  double sum = 0;
  for (const double ms : look_times(rules, samples, samples.size(), /*repeats=*/3)) sum += ms / 1000;
  return sum / static_cast<double>(rules.size());
}

}  // namespace

AnchorCosts RivalGround::cascade_costs() const {
  return with_confidence(costs, static_cast<std::size_t>(data().network.classes()), bops.reference());
}

double RivalGround::reward(const PictureOutcomes& outcomes) const {
  double sum = 0;
  for (std::size_t i = 0; i < outcomes.loss.size(); ++i) sum += episode_return(outcomes.loss[i], lambda, outcomes.relative[i]);
  return sum / static_cast<double>(outcomes.loss.size());
}

RivalGround open_ground(const GroundOptions& options) {
  Recipe recipe = read_run_recipe(options.run);
  if (options.images > 0) recipe.evaluation_images = options.images;
  const DataSplits splits = open_splits(recipe.data, decode_file);
  const auto model = Model::load(options.run + "/model.safetensors");
  const ModelData& data = model->data();
  if (data.budget.empty())
    throw Error(ExitCode::kData, "the run's model has no policy, so it has no prices", options.run,
                "give a run whose recipe has policy.enabled true");
  const CostTable bops = bops_table(data.network, data.space);
  RivalGround ground{options.run, recipe, splits, model, bops, anchor_costs(data, bops), {}, options.lambda.value_or(data.default_lambda),
                     0, 0, options.threads, options.memory, {}, {}, {}};
  for (const Anchor& anchor : data.anchors) ground.temperatures.push_back(anchor.temperature);
  ground.budget = promised_cost(data.budget, ground.lambda);
  const Draws policy = draws_of(recipe, data, splits.policy, "policy", recipe.policy.draws),
              validation = draws_of(recipe, data, splits.validation, "validation", recipe.policy.draws);
  ground.policy = {known(ground, "policy", policy.count, policy.at), policy.at};
  const OutcomeTable table = known(ground, "validation", validation.count, validation.at);
  const std::size_t pictures = validation.count / static_cast<std::size_t>(recipe.policy.draws);
  ground.check = part(table, validation.at, pictures, 0, pictures / 2);
  ground.judge = part(table, validation.at, pictures, pictures / 2, pictures);
  ground.pass_seconds = mean_pass_seconds(ground);
  return ground;
}

KnownPictures evaluation_pictures(const RivalGround& ground, EvaluationSet which) {
  const ModelData& data = ground.data();
  const auto set = first_images(ground.splits.test, static_cast<std::size_t>(ground.recipe.evaluation_images));
  const auto samples = std::make_shared<const std::vector<Sample>>(
      evaluation_samples(*set, which, standard_mixture(), data.network.input_shape(), data.preprocessing.stretch));
  const SampleAt at = [samples](std::size_t i) { return (*samples)[i]; };
  return {known(ground, std::string("test ") + evaluation_set_name(which), samples->size(), at), at};
}

PictureOutcomes outcomes_of(const RivalGround& ground, const OutcomeTable& table, const std::vector<PolicyChoice>& choices,
                            double policy_cost) {
  PictureOutcomes outcomes;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const auto first = static_cast<std::size_t>(choices[i].first), last = static_cast<std::size_t>(choices[i].last());
    outcomes.correct.push_back(table.correct(i, last) ? 1 : 0);
    outcomes.loss.push_back(task_loss(table.scores_of(i, last), ground.temperatures[last], table.labels[i]));
    outcomes.relative.push_back(policy_cost + ground.costs.first[first] + (choices[i].second >= 0 ? ground.costs.second[last] : 0.0));
  }
  return outcomes;
}

}  // namespace bitpilot
