#include "experiments/commands/search.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/codecs/decode.h"
#include "experiments/config_trials.h"
#include "experiments/cost_choice.h"
#include "experiments/finished_supernet.h"
#include "experiments/recipe.h"
#include "experiments/static_search.h"
#include "experiments/svg_plot.h"
#include "experiments/training_data.h"
#include "policy/budget_configs.h"
#include "policy/sensitivity.h"
#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/format/model_file.h"

namespace bitpilot {
namespace {

using nlohmann::json;

/// One panel: what each layer loses when it alone is lowered, and wins back when it alone is spared, by what `value` says is lost.
Plot sensitivity_panel(const Sensitivity& sensitivity, const Network& network, const std::string& title, const std::string& unit,
                       const std::function<double(const SearchPoint&)>& value) {
  Plot plot;
  plot.title = title;
  plot.y_label = unit;
  PlotSeries lowered{"only it at its lowest bits", PlotSeries::Kind::kBars, {}, {}, {}}, spared{"all but it at their lowest", PlotSeries::Kind::kBars, {}, {}, {}};
  for (const LayerSensitivity& layer : sensitivity.layers) {
    const auto k = static_cast<double>(plot.categories.size());
    plot.categories.push_back(network.layer(layer.layer).name);
    lowered.points.emplace_back(k, value(layer.lowest) - value(sensitivity.highest));
    spared.points.emplace_back(k, value(sensitivity.lowest) - value(layer.all_but));
  }
  plot.width = std::max(720, 40 * static_cast<int>(plot.categories.size()));
  plot.series = {lowered, spared};
  return plot;
}

/// FILE.json and, beside it, FILE.svg, in loss and in accuracy.
void write_sensitivity(const Sensitivity& sensitivity, const Network& network, const BitSpace& space, const std::string& file, std::size_t images) {
  json record = sensitivity_json(sensitivity, network, space);
  record["images"] = images;
  const std::vector<Plot> panels{
      sensitivity_panel(sensitivity, network, "What lowering one layer costs, and what sparing one wins back: loss", "cross-entropy",
                        [](const SearchPoint& point) { return point.loss; }),
      sensitivity_panel(sensitivity, network, "The same in accuracy", "points of accuracy",
                        [](const SearchPoint& point) { return -100 * point.accuracy; })};
  write_file_atomically(file, record.dump(2) + "\n");
  write_file_atomically(std::filesystem::path(file).replace_extension(".svg").string(), svg(panels));
}

/// Relative cost that --budget asks for.
double read_search_budget(const std::string& text, const CostTable& cost) {
  const bool time = text.ends_with("ms");
  const std::string digits = time ? text.substr(0, text.size() - 2) : text;
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !(value > 0) || (!time && value > 1))
    throw Error(ExitCode::kUsage, "--budget takes a relative cost above 0 and up to 1, or milliseconds, not \"" + text + "\"", "bitpilot search",
                "give --budget 0.12, or --cost latency:FILE --budget 2.5ms");
  if (time && cost.unit() != "ms")
    throw Error(ExitCode::kUsage, "--budget " + text + " needs this machine's times", "bitpilot search", "give --cost latency:FILE (bitpilot profile), or a relative cost");
  return time ? std::min(1.0, value / cost.reference()) : value;
}

/// A budget below every configuration is refused in the unit in which it was asked for.
void check_reach(const std::string& text, double budget, bool mixed, const ModelData& model, const CostTable& cost) {
  const double least = least_relative(model.space, cost, width_patterns_of(model, mixed));
  if (least <= budget) return;
  throw Error(ExitCode::kUsage, "no configuration costs as little as " + text, "--budget " + text,
              "give at least " + (text.ends_with("ms") ? at_least(least * cost.reference()) + "ms" : at_least(least)));
}

constexpr double kEqualCost = 0.02;  // random controls cost up to this share less than what was found

/// Random bits at the width and the cost of what was found.
std::vector<BitConfig> controls_of(const SearchPoint& found, const BitSpace& space, const CostTable& cost, std::int64_t count) {
  DrawSpace from{space, cost};
  for (const LayerBits& layer : found.config) from.blocks.push_back(layer.active_blocks);
  return random_configs_at(from, found.relative, kEqualCost, static_cast<int>(count), /*seed=*/0);
}

}  // namespace

int run_search(const std::vector<std::string>& args) {
  std::string run, model_file, data, method = "greedy", json_file, sensitivity_file, export_file;
  std::string budget_text, cost_text = "bops", widths = "anchors";
  std::int64_t images = 1024, threads = 2, controls = 0;
  bool quiet = false;
  Options options("search", "find the best fixed mixed-precision configuration, by inference only");
  options.text("run", "DIR", run, "run folder: configurations are judged by its supernet, each with its own normalisation");
  options.text("model", "FILE", model_file, "model file, instead of --run: judged as integers with the nearest anchor's normalisation");
  options.text("data", "SET", data, "data set whose validation split is searched on; default: the run's");
  options.text("method", "NAME", method, "greedy (move by move), ilp (an integer program over each layer's measured sensitivity) or genetic (by a learned predictor)");
  options.text("budget", "R", budget_text, "cost to reach: relative to uniform 8 bits, or with --cost latency in milliseconds (2.5ms)").required();
  options.text("cost", "KIND", cost_text, "what a configuration costs: bops (default), or latency:FILE, this machine's times (bitpilot profile)");
  options.text("widths", "WHICH", widths, "anchors (default: the widths that the model's anchors have) or mixed (also mixes of them, which no path was trained at)");
  options.integer("images", "N", images, 16, 1000000, "pictures of the validation split, degraded by the standard mixture");
  options.integer("threads", "N", threads, 1, 256, "threads; the result does not depend on it");
  options.text("sensitivity", "FILE.json", sensitivity_file, "write what each layer loses when only it, and all but it, are lowered; picture in FILE.svg");
  options.text("export", "FILE", export_file, "of --run: write its model with the found configuration as one more anchor, \"searched\", calibrated as the others are");
  options.integer("controls", "N", controls, 1, 1000, "of --run: judge so many random configurations of equal cost beside it, on the test split");
  options.text("json", "FILE", json_file, "write the result, usable as eval --bits FILE; - for stdout");
  options.flag("quiet", quiet, "no progress");
  if (!options.parse(args)) return 0;
  const auto began = std::chrono::steady_clock::now();
  const std::vector<std::string>& methods = static_search_methods();
  if (std::find(methods.begin(), methods.end(), method) == methods.end())
    throw Error(ExitCode::kUsage, "--method takes greedy, ilp or genetic, not \"" + method + "\"", "bitpilot search", "give --method greedy");
  if (widths != "anchors" && widths != "mixed")
    throw Error(ExitCode::kUsage, "--widths takes anchors or mixed, not \"" + widths + "\"", "bitpilot search", "leave it out, or give --widths mixed");
  const bool mixed = widths == "mixed";
  if (!sensitivity_file.empty() && std::filesystem::path(sensitivity_file).extension() != ".json")
    throw Error(ExitCode::kUsage, "--sensitivity takes a file that ends in .json", "bitpilot search", "its picture is written beside it, as .svg");
  if (run.empty() == model_file.empty())
    throw Error(ExitCode::kUsage, "give one of --run and --model", "bitpilot search", "see `bitpilot search --help`");
  if (run.empty() && (!export_file.empty() || controls > 0))
    throw Error(ExitCode::kUsage, std::string(export_file.empty() ? "--controls" : "--export") + " calibrates configurations, which takes a run", "bitpilot search",
                "give --run DIR instead of --model");
  check_cost(cost_text);
  if (data.empty() && !run.empty()) data = read_run_recipe(run).data;
  if (data.empty()) throw Error(ExitCode::kUsage, "--data SET is missing", "bitpilot search", "name the data set to search on");

  const auto model = Model::load(run.empty() ? model_file : run + "/model.safetensors");
  const ModelData& parts = model->data();
  const CostTable cost = read_cost(cost_text, parts.network, parts.space).table;
  const double budget = read_search_budget(budget_text, cost);
  check_reach(budget_text, budget, mixed, parts, cost);
  const DataSplits splits = open_splits(data, decode_file);
  const auto set = first_images(splits.validation, static_cast<std::size_t>(images));
  const auto samples = std::make_shared<const std::vector<Sample>>(
      evaluation_samples(*set, EvaluationSet::kSeen, standard_mixture(), parts.network.input_shape(), parts.preprocessing.stretch));
  std::optional<FinishedRun> opened;
  if (!run.empty()) opened.emplace(run, static_cast<int>(threads));
  const RememberingJudge judge(opened ? ConfigJudge(BatchJudge(&opened->training().supernet, *samples, static_cast<int>(threads)))
                                      : engine_judge(model, samples, static_cast<int>(threads)));
  const StaticFound found = search_static({method, budget, quiet, mixed}, parts, cost, judge);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (!sensitivity_file.empty())
    write_sensitivity(measure_sensitivity({parts.space, cost}, judge), parts.network, parts.space, sensitivity_file, samples->size());
  json record = point_json(found.best, parts.space);
  record.update(found.details);
  record["schema"] = "bitpilot.search/1";
  record["name"] = method;
  record["method"] = method;
  record["budget"] = budget;
  record["cost_unit"] = cost.unit();
  record["images"] = samples->size();
  record["seconds"] = seconds;
  std::cout << to_string(found.best.config, parts.space) << "\n  relative cost " << found.best.relative << ", accuracy " << found.best.accuracy
            << " on " << samples->size() << " validation pictures, " << record["evaluations"] << " evaluations, " << std::round(seconds * 10) / 10 << " s\n";
  if (controls > 0) {
    record["against_random"] = against_random(opened->training(), found.best.config, controls_of(found.best, parts.space, cost, controls));
    for (const auto& [set, result] : record["against_random"].items())
      std::cout << "  " << set << ": " << result["found"] << ", random ones of its cost " << result["random_mean"] << " in the mean, "
                << result["random_best"] << " at best\n";
  }
  if (!export_file.empty()) write_model(export_with(opened->training(), {{"searched", found.best.config}}), export_file);
  if (json_file == "-") std::cout << record.dump(2) << "\n";
  else if (!json_file.empty()) write_file_atomically(json_file, record.dump(2) + "\n");
  return 0;
}

}  // namespace bitpilot
