#include "experiments/commands/search.h"

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/codecs/decode.h"
#include "experiments/recipe.h"
#include "experiments/training_data.h"
#include "policy/accuracy_predictor.h"
#include "policy/genetic.h"
#include "policy/greedy.h"
#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

using nlohmann::json;

json bits_json(const BitConfig& config, const BitSpace& space) {
  json rows = json::array();
  for (std::size_t l = 0; l < config.size(); ++l)
    if (!space.layers[l].fixed) rows.push_back({config[l].weight, config[l].activation, config[l].active_blocks});
  return rows;
}

json point_json(const SearchPoint& point, const BitSpace& space) {
  return {{"bits", bits_json(point.config, space)}, {"relative", point.relative}, {"accuracy", point.accuracy}, {"loss", point.loss}};
}

/// The data set that a run was trained on, if its recipe names one.
std::string data_of_run(const std::string& run) {
  return std::filesystem::exists(run + "/recipe.json") ? read_run_recipe(run).data : "";
}

constexpr int kTaught = 800;     // configurations that the predictor learns from
constexpr int kHeldBack = 100;   // and is judged on

/// Genetic search by a predictor that is taught on judged configurations of all costs; fills the record, returns the best.
SearchPoint genetic(const ModelData& parts, const CostTable& cost, double budget, const ConfigJudge& judge, bool quiet, json& record) {
  const DrawSpace space{parts.space, cost, {}};
  std::vector<Subnet> subnets;
  std::vector<double> accuracies;
  for (const BitConfig& config : spread_configs(space, kTaught + kHeldBack, /*seed=*/0)) {
    subnets.push_back({config, {}});
    accuracies.push_back(judge(config).accuracy);
    if (!quiet && subnets.size() % 100 == 0) std::cerr << "search  " << subnets.size() << " configurations judged\n";
  }
  const AccuracyPredictor predictor({subnets.begin(), subnets.begin() + kTaught}, {accuracies.begin(), accuracies.begin() + kTaught}, {});
  const double tau = kendall(predictor.predict({subnets.begin() + kTaught, subnets.end()}), {accuracies.begin() + kTaught, accuracies.end()});
  if (!quiet) std::cerr << "search  the predictor's Kendall correlation on " << kHeldBack << " held-back configurations is " << tau << "\n";
  const ConfigPredictor predict = [&](const std::vector<BitConfig>& configs) {
    std::vector<Subnet> asked;
    for (const BitConfig& config : configs) asked.push_back({config, {}});
    return predictor.predict(asked);
  };
  GeneticOptions options;
  options.budget = budget;
  const GeneticResult result = genetic_search(space, predict, judge, options);
  record["kendall"] = tau;
  record["evaluations"] = subnets.size() + result.remeasured.size();
  record["remeasured"] = json::array();
  for (std::size_t i = 0; i < result.remeasured.size(); ++i) {
    record["remeasured"].push_back(point_json(result.remeasured[i], parts.space));
    record["remeasured"].back()["predicted"] = result.predicted[i];
  }
  return result.best;
}

SearchPoint greedy(const ModelData& parts, const CostTable& cost, double budget, const ConfigJudge& judge, bool quiet, json& record) {
  GreedyOptions options;
  options.budget = budget;
  if (!quiet)
    options.on_move = [&](const SearchPoint& point) {
      std::cerr << "search  relative " << point.relative << "  loss " << point.loss << "  " << to_string(point.config, parts.space) << "\n";
    };
  const GreedyResult result = greedy_search(parts.space, cost, judge, options);
  record["evaluations"] = result.evaluations;
  record["pareto"] = json::array();
  for (const SearchPoint& point : result.pareto) record["pareto"].push_back(point_json(point, parts.space));
  return result.best;
}

}  // namespace

int run_search(const std::vector<std::string>& args) {
  std::string run, model_file, data, method = "greedy", json_file;
  std::optional<double> budget;
  std::int64_t images = 1024, threads = 2;
  bool quiet = false;
  Options options("search", "find the best fixed mixed-precision configuration, by inference only");
  options.text("run", "DIR", run, "run folder (its model.safetensors and its data set)");
  options.text("model", "FILE", model_file, "model file, instead of --run");
  options.text("data", "SET", data, "data set whose validation split is searched on; default: the run's");
  options.text("method", "NAME", method, "greedy (bidirectional) or genetic (by a learned predictor of accuracy)");
  options.number("budget", "R", budget, 0.001, 1, "relative cost to reach (BOPs over uniform 8 bits)").required();
  options.integer("images", "N", images, 16, 1000000, "pictures of the validation split, degraded by the standard mixture");
  options.integer("threads", "N", threads, 1, 256, "threads; the result does not depend on it");
  options.text("json", "FILE", json_file, "write the result, usable as eval --bits FILE; - for stdout");
  options.flag("quiet", quiet, "no progress");
  if (!options.parse(args)) return 0;
  if (method != "greedy" && method != "genetic")
    throw Error(ExitCode::kUsage, "--method takes greedy or genetic, not \"" + method + "\"", "bitpilot search", "see `bitpilot search --help`");
  if (run.empty() == model_file.empty())
    throw Error(ExitCode::kUsage, "give one of --run and --model", "bitpilot search", "see `bitpilot search --help`");
  if (data.empty() && !run.empty()) data = data_of_run(run);
  if (data.empty()) throw Error(ExitCode::kUsage, "--data SET is missing", "bitpilot search", "name the data set to search on");

  const auto model = Model::load(run.empty() ? model_file : run + "/model.safetensors");
  const ModelData& parts = model->data();
  const DataSplits splits = open_splits(data, decode_file);
  const auto set = first_images(splits.validation, static_cast<std::size_t>(images));
  const auto samples = std::make_shared<const std::vector<Sample>>(
      evaluation_samples(*set, EvaluationSet::kSeen, standard_mixture(), parts.network.input_shape(), parts.preprocessing.stretch));
  const CostTable cost = bops_table(parts.network, parts.space);
  const ConfigJudge judge = engine_judge(model, samples, static_cast<int>(threads));
  json details = json::object();
  const SearchPoint best = (method == "greedy" ? greedy : genetic)(parts, cost, *budget, judge, quiet, details);
  json record = point_json(best, parts.space);
  record.update(details);
  record["schema"] = "bitpilot.search/1";
  record["name"] = method;
  record["method"] = method;
  record["budget"] = *budget;
  record["images"] = samples->size();
  std::cout << to_string(best.config, parts.space) << "\n  relative cost " << best.relative << ", accuracy " << best.accuracy << " on "
            << samples->size() << " validation pictures, " << record["evaluations"] << " evaluations\n";
  if (json_file == "-") std::cout << record.dump(2) << "\n";
  else if (!json_file.empty()) write_file_atomically(json_file, record.dump(2) + "\n");
  return 0;
}

}  // namespace bitpilot
