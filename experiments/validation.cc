#include "experiments/validation.h"

#include "experiments/training_data.h"
#include "runtime/commands/eval_tally.h"

namespace bitpilot {

nlohmann::json validated(const FinishedTraining& training) {
  const auto set = first_images(training.splits.validation, static_cast<std::size_t>(training.request.recipe.evaluation_images));
  const std::vector<Sample> samples = evaluation_samples(*set, EvaluationSet::kSeen, standard_mixture(), training.model.network.input_shape(),
                                                         training.model.preprocessing.stretch);
  const OutcomeTable table =
      roll_out(std::make_shared<const Model>(training.model), samples.size(), [&](std::size_t i) { return samples[i]; }, training.request.threads);
  std::size_t correct = 0;
  for (std::size_t i = 0; i < table.size(); ++i) correct += table.correct(i, 0);
  const auto [low, high] = wilson_interval(correct, table.size());
  return {{"accuracy", static_cast<double>(correct) / static_cast<double>(table.size())}, {"accuracy_ci95", {low, high}}, {"images", table.size()}};
}

}  // namespace bitpilot
