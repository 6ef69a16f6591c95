#include "experiments/finish_run.h"

#include <cmath>
#include <iostream>

#include "env/outcomes.h"
#include "experiments/network_simulator.h"
#include "experiments/training_data.h"
#include "policy/hybrid_learner.h"
#include "policy/offset_learner.h"
#include "policy/policy_report.h"
#include "policy/prices.h"
#include "quant/training_loop.h"
#include "runtime/core/cost.h"
#include "runtime/core/files.h"
#include "runtime/format/model_file.h"

namespace bitpilot {

using nlohmann::json;

namespace {

// Share, its 95 % interval (Wilson, 1927) and what it was measured on.
json accuracy_json(std::size_t correct, std::size_t images) {
  const double n = static_cast<double>(images), p = static_cast<double>(correct) / n, z = 1.96;
  const double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
  return {{"accuracy", p}, {"accuracy_ci95", {centre - half, centre + half}}, {"images", images}};
}

std::size_t float_correct(QuantizedNetwork* network, const std::vector<Sample>& samples, const Shape& input) {
  std::size_t correct = 0;
  for (std::size_t at = 0; at < samples.size(); at += 250) {
    const std::vector<Sample> part(samples.begin() + static_cast<std::ptrdiff_t>(at),
                                   samples.begin() + static_cast<std::ptrdiff_t>(std::min(samples.size(), at + 250)));
    const TrainingBatch batch = to_batch(part, input);
    correct += static_cast<std::size_t>((evaluate(network, 0, batch.src).argmax(1) == batch.labels).sum().item<std::int64_t>());
  }
  return correct;
}

/// Per-layer offsets on top of a fitted two-look policy; they stay only if they gain on validation.
json learn_offsets_of(FinishedTraining* training, const OutcomeTable& policy_split, const Draws& train, const OutcomeTable& validation,
                      const Draws& check) {
  const PolicyRecipe& recipe = training->request.recipe.policy;
  NetworkSimulator simulator(&training->supernet);
  OffsetInputs inputs;
  inputs.model = std::make_shared<const Model>(training->model);
  inputs.train = &policy_split;
  inputs.train_at = train.at;
  inputs.validation = &validation;
  inputs.validation_at = check.at;
  inputs.simulator = &simulator;
  OffsetOptions options;
  options.seed = training->request.recipe.seed;
  options.steps = recipe.offset_steps;
  options.rollout_pictures = options.check_pictures = recipe.offset_pictures;
  return learn_offsets(training->model, inputs, options).log;
}

/// Budget table and default price, on many fresh draws of every picture that the backbone has not seen: what varies most from picture
/// to picture is whether it gets a second look, and that is as uncertain as there are few pictures.
json set_prices_of(FinishedTraining* training) {
  const Recipe& recipe = training->request.recipe;
  const auto model = std::make_shared<const Model>(training->model);
  const auto table_of = [&](const std::shared_ptr<const ImageSet>& split, const char* purpose) {
    const Draws draws = draws_of(recipe, training->model, split, purpose, recipe.policy.price_draws);
    return roll_out(model, draws.count, draws.at, training->request.threads);
  };
  const OutcomeTable validation = table_of(training->splits.validation, "prices/validation"),
                     policy_split = table_of(training->splits.policy, "prices/policy");
  std::vector<const OutcomeTable*> unseen{&validation}, fitted;
  (networks_decide(training->model) ? fitted : unseen).push_back(&policy_split);
  PriceOptions options;
  options.reference_anchor = recipe.policy.reference;
  options.allowed_loss = recipe.policy.reference_loss / 100;
  return set_prices(training->model, options, unseen, fitted).to_json();
}

/// Fits the two-look policy on the policy split and chooses on validation, sets the prices, then learns the offsets.  Returns the validation table.
OutcomeTable learn_policy(FinishedTraining* training) {
  const Recipe& recipe = training->request.recipe;
  const int threads = training->request.threads;
  const auto calibrated = std::make_shared<const Model>(training->model);
  const Draws train = draws_of(recipe, training->model, training->splits.policy, "policy", recipe.policy.draws),
              check = draws_of(recipe, training->model, training->splits.validation, "validation", recipe.policy.draws);
  const OutcomeTable policy_split = roll_out(calibrated, train.count, train.at, threads);
  OutcomeTable validation = roll_out(calibrated, check.count, check.at, threads);
  PolicyOptions options;
  options.seed = recipe.seed;
  options.reference_anchor = recipe.policy.reference;
  options.log = [](const std::string& line) { std::cerr << line << "\n"; };
  json log{{"looks", fit_policy(training->model, options, policy_split, validation).log}};
  log["prices"] = set_prices_of(training);
  if (recipe.policy.offset_steps > 0) log["offsets"] = learn_offsets_of(training, policy_split, train, validation, check);
  write_file_atomically(training->request.out + "/policy.json", log.dump(2) + "\n");
  return validation;
}

/// Accuracy of the float network and of every anchor on the evaluation sets, and the evidence for the policy.
json evaluate_run(const FinishedTraining& training, const std::shared_ptr<const Model>& model, const OutcomeTable& validation) {
  const Recipe& recipe = training.request.recipe;
  const auto set = first_images(training.splits.test, static_cast<std::size_t>(recipe.evaluation_images));
  const ModelData& data = model->data();
  const CostTable bops = bops_table(data.network, data.space);
  json result{{"float", json::object()}, {"anchors", json::object()}};
  result["float"]["bops"] = float_bops(data.network);
  std::vector<OutcomeTable> tables;
  for (const EvaluationSet which : kEvaluationSets) {
    const char* name = evaluation_set_name(which);
    const std::vector<Sample> samples =
        evaluation_samples(*set, which, standard_mixture(), data.network.input_shape(), data.preprocessing.stretch);
    result["float"][name] = accuracy_json(float_correct(&training.float_network, samples, data.network.input_shape()), samples.size());
    tables.push_back(roll_out(model, samples.size(), [&](std::size_t i) { return samples[i]; }, training.request.threads));
    const OutcomeTable& table = tables.back();
    for (std::size_t k = 0; k < data.anchors.size(); ++k) {
      std::size_t correct = 0;
      for (std::size_t i = 0; i < table.size(); ++i) correct += table.correct(i, k);
      json& entry = result["anchors"][data.anchors[k].name];
      entry["bops"] = bops.cost(data.anchors[k].config);
      entry["relative"] = bops.cost(data.anchors[k].config) / bops.reference();
      entry[name] = accuracy_json(correct, table.size());
    }
  }
  if (PolicyHead::has_policy(data)) {
    std::vector<ReportSet> sets;
    for (std::size_t s = 0; s < tables.size(); ++s) sets.push_back({evaluation_set_name(kEvaluationSets[s]), &tables[s], {}});
    result["policy"] = policy_report(data, validation, sets);
  }
  return result;
}

}  // namespace

bool finish_run(FinishedTraining training) {
  ModelData& model = training.model;
  const Recipe& recipe = training.request.recipe;
  const std::string file = training.request.out + "/model.safetensors";
  model.labels = training.splits.train->labels();
  for (std::size_t k = 0; k < model.anchors.size(); ++k)
    if (model.anchors[k].name == recipe.safe_anchor) model.safe_anchor = static_cast<int>(k);
  model.provenance = training.identity.dump();
  OutcomeTable validation;
  if (recipe.policy.enabled) validation = learn_policy(&training);
  write_model(model, file);
  json summary = evaluate_run(training, Model::load(file), validation);
  summary["schema"] = "bitpilot.training/1";
  summary["name"] = recipe.name;
  summary["seed"] = recipe.seed;
  summary["backbone"] = recipe.backbone;
  summary["data"] = training.splits.name;
  summary["mixture"] = standard_mixture().hash;
  write_file_atomically(training.request.out + "/summary.json", summary.dump(2) + "\n");
  for (const auto& [name, entry] : summary["anchors"].items())
    std::cout << name << "  " << entry["relative"] << "  seen " << entry["seen"]["accuracy"] << "  held out " << entry["held_out"]["accuracy"]
              << "  clean " << entry["clean"]["accuracy"] << "\n";
  return true;
}

}  // namespace bitpilot
