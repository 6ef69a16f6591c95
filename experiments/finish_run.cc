#include "experiments/finish_run.h"

#include <iostream>

#include "env/outcomes.h"
#include "experiments/methods/method.h"
#include "experiments/training_data.h"
#include "policy/policy_report.h"
#include "quant/training_loop.h"
#include "runtime/commands/eval_tally.h"
#include "runtime/core/cost.h"
#include "runtime/core/files.h"
#include "runtime/format/model_file.h"

namespace bitpilot {

using nlohmann::json;

namespace {

// Share, its 95 % interval and what it was measured on.
json accuracy_json(std::size_t correct, std::size_t images) {
  const auto [low, high] = wilson_interval(correct, images);
  return {{"accuracy", static_cast<double>(correct) / static_cast<double>(images)}, {"accuracy_ci95", {low, high}}, {"images", images}};
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

/// Accuracy of the float network and of every anchor on the evaluation sets, and the evidence for the policy.
json evaluate_run(const FinishedTraining& training, const std::shared_ptr<const Model>& model) {
  const Recipe& recipe = training.request.recipe;
  const auto set = first_images(training.splits.test, static_cast<std::size_t>(recipe.evaluation_images));
  const ModelData& data = model->data();
  const CostTable bops = bops_table(data.network, data.space);
  json result{{"float", json::object()}, {"anchors", json::object()}};
  result["float"]["bops"] = float_bops(training.float_network.network());  // a method may have pruned the model
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
    result["policy"] = policy_report(data, training.validation, sets);
  }
  return result;
}

}  // namespace

bool finish_run(FinishedTraining training, Method* method) {
  ModelData& model = training.model;
  const Recipe& recipe = training.request.recipe;
  const std::string file = training.request.out + "/model.safetensors";
  const auto describe = [&] {
    model.labels = training.splits.train->labels();
    for (std::size_t k = 0; k < model.anchors.size(); ++k)
      if (model.anchors[k].name == recipe.safe_anchor) model.safe_anchor = static_cast<int>(k);
    model.provenance = training.identity.dump();
  };
  describe();
  const json learned = method->finish(&training);
  describe();  // a method may have exported the model anew, with anchors that it found
  write_model(model, file);
  json summary = evaluate_run(training, Model::load(file));
  if (!learned.is_null()) summary["method"] = learned;
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
