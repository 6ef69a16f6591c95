// RFQuant (arXiv:2401.01543): one set of weights is trained for all bit-widths of all layers; a budgeted search then needs inference only.
//
//   step        the 8-bit path on the labels (and the float network), then free configurations, every layer's bits drawn from its current
//               candidates, each on 1/2 cross-entropy + 1/2 divergence from the 8-bit path; gradients add up, are clipped by value, one update
//   mitigation  a free configuration's layers at their smallest current candidate are drawn towards the 8-bit path: 0.01 * mean squared
//               difference of the normalised outputs (information-distortion mitigation)
//   scheduler   between epochs the weights of the most turbulent layers lose their smallest candidate until the next event
//                                                                                                                (quant/coupling)
//   search      bidirectional greedy, by inference with the statistics of each batch as the source has it; the best of the way are
//               recalibrated and judged as integers on the same pictures, the winner is exported as the anchor "searched" and compared
//               with random configurations of its cost on the test split                                      (policy/greedy)
//
// What differs from the paper.  Weights are nested codes of one 8-bit step (the paper learns one step a bit-width), candidates are 2, 3, 4
// and 8 bits, the scheduler's epochs are scaled.  Normalisations and activation steps belong to the recipe's uniform paths
// and are borrowed layer by layer from the nearest one (the paper has one for every pair of bit-widths).  The 8-bit path also learns from
// the float network, and the optimiser is the project's (Adam, one cycle), as for every method here; no dampening, no moving average.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "experiments/config_trials.h"
#include "experiments/finalists.h"
#include "experiments/methods/method.h"
#include "experiments/run_clock.h"
#include "experiments/svg_plot.h"
#include "policy/budget_configs.h"
#include "policy/greedy.h"
#include "quant/coupling.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"
#include "runtime/core/random.h"

namespace bitpilot {
namespace {

using nlohmann::json;

constexpr double kImitation = 0.01;       // weight of the mitigation
constexpr double kGradientLimit = 1.0;
constexpr std::size_t kFinalists = 8;     // of the search's Pareto front, judged as integers
constexpr double kEqualCost = 0.02;       // random controls cost up to this share less than the searched configuration

struct Settings {
  bool scheduler = true, mitigation = true;
  double budget = 0.1;  ///< relative cost that the search must reach, 0.001..1; 0 = no search
  int controls = 30;    ///< random configurations of equal cost, 1..200
  int pictures = 2048;  ///< of the validation split (all if it has fewer), the same ones in every iteration, 16..1000000
};

Settings read_settings(const Recipe& recipe) {
  const JsonReader reader(recipe.method, "recipe, method");
  reader.allow({"name", "scheduler", "mitigation", "budget", "controls", "pictures"});
  Settings settings;
  settings.scheduler = reader.boolean("scheduler", settings.scheduler);
  settings.mitigation = reader.boolean("mitigation", settings.mitigation);
  settings.budget = reader.number("budget", 0, 1, settings.budget);
  if (settings.budget > 0 && settings.budget < 1e-3) reader.at("budget").fail("a search reaches 0.001 at least; 0 leaves it out");
  settings.controls = static_cast<int>(reader.integer("controls", 1, 200, settings.controls));
  settings.pictures = static_cast<int>(reader.integer("pictures", 16, 1000000, settings.pictures));
  for (const StageRecipe& stage : recipe.supernet)
    if (stage.random_paths < 1)
      throw Error(ExitCode::kData, "RFQuant trains free configurations, a stage has none", "recipe, supernet", "set \"random_paths\" to 1 or more");
  return settings;
}

/// The lowest bits that the scheduler's last event left to a configuration.
BitConfig least_of(const BitSpace& space, const BitSpace& weights) {
  BitConfig least = uniform_config(space, 8, 8);
  for (std::size_t l = 0; l < least.size(); ++l) {
    least[l].weight = weights.layers[l].bits.front();
    least[l].activation = space.layers[l].bits.front();
  }
  return least;
}

bool names(const json& event, const char* list, const std::string& layer) {
  const auto found = event.find(list);
  return found != event.end() && std::find(found->begin(), found->end(), layer) != found->end();
}

/// Turbulence of every layer over the epochs, from the run's own metrics; a dot where the layer was then frozen, a ring where it got its
/// whole list back.
std::string turbulence_plot(const std::string& metrics) {
  std::vector<PlotSeries> lines;
  PlotSeries frozen{"smallest bits dropped", PlotSeries::Kind::kPoints, {}, {}, {}, /*marked=*/true};
  PlotSeries restored{"all bits back", PlotSeries::Kind::kRings, {}, {}, {}, /*marked=*/true};
  std::ifstream file(metrics);
  for (std::string row; std::getline(file, row);) {
    const json entry = parse_json(row, metrics);
    if (!entry.contains("method")) continue;
    const json& event = entry["method"];
    for (const auto& [layer, value] : event["turbulence"].items()) {
      auto line = std::find_if(lines.begin(), lines.end(), [&, name = layer](const PlotSeries& s) { return s.name == name; });
      if (line == lines.end()) line = lines.insert(line, {layer, PlotSeries::Kind::kLine, {}, {}, {}});
      line->points.emplace_back(entry["epoch"].get<double>() + 1, value.get<double>());
      if (names(event, "frozen", layer)) frozen.points.push_back(line->points.back());
      if (names(event, "restored", layer)) restored.points.push_back(line->points.back());
    }
  }
  if (lines.empty()) return "";
  for (PlotSeries* marks : {&frozen, &restored})
    if (!marks->points.empty()) lines.push_back(std::move(*marks));
  Plot plot;
  plot.title = "Turbulence of each layer";
  plot.x_label = "epoch";
  plot.y_label = "share near a rounding boundary, over bits";
  plot.series = std::move(lines);
  return svg(plot);
}

class RfQuant : public Method {
 public:
  explicit RfQuant(const Settings& settings) : settings_(settings) {}

  void check(const Network& network, const BitSpace& space) const override {
    if (settings_.budget > 0) check_method_budget(settings_.budget, network, space);
  }

  void begin_stage(const MethodStage& stage, TrainingOptions* options) override {
    const QuantizedNetwork& network = *stage.network;
    scheduler_ = std::make_unique<BitWidthScheduler>(network.network(), network.space(), stage.steps / stage.steps_per_epoch);
    const std::vector<PathSpec> widest{network.paths()[static_cast<std::size_t>(options->paths.front())]};
    options->teaching = Teaching::kFirst;
    options->imitation = kImitation;
    options->shape_gradients = clip_gradients(kGradientLimit);
    options->free_paths = [this, &network, widest, seed = options->seed](std::uint64_t index) {
      const BitSpace weights = scheduler_->weights();
      FreePath path{random_config(network.network(), network.space(), widest, seed, index), nullptr, {}};
      keep_to(weights, Random(seed, "not frozen", index), path.config);
      if (settings_.mitigation) path.imitated = at_smallest(path.config, weights);
      return path;
    };
  }

  json end_epoch(const MethodStage& stage, std::int64_t epoch) override {
    if (!settings_.scheduler || !scheduler_->due(epoch)) return nullptr;
    const FreezeEvent event = scheduler_->update(epoch, stage.network->parameters());
    const Network& network = stage.network->network();
    json record{{"ratio", event.ratio}, {"turbulence", json::object()}, {"frozen", json::array()}, {"restored", json::array()}};
    for (int l = 0; l < network.layer_count(); ++l)
      if (!network.fixed(l)) record["turbulence"][network.layer(l).name] = event.turbulence[static_cast<std::size_t>(l)];
    for (const int l : event.frozen) record["frozen"].push_back(network.layer(l).name);
    for (const int l : event.restored) record["restored"].push_back(network.layer(l).name);
    return record;
  }

  NamedTensors state() override { return scheduler_ ? scheduler_->state() : NamedTensors{}; }

  json finish(FinishedTraining* training) override {
    const std::string& out = training->request.out;
    if (const std::string plot = turbulence_plot(out + "/metrics.jsonl"); !plot.empty()) write_file_atomically(out + "/turbulence.svg", plot);
    if (settings_.budget == 0) return nullptr;
    // The search keeps to the candidates that survived the last event.
    const BitSpace& space = training->model.space;
    const CostTable cost = bops_table(training->model.network, space);
    const DrawSpace from{space, cost, least_of(space, scheduler_ ? scheduler_->weights() : space)};
    json validation;
    const SearchPoint found = search(*training, from, &validation);
    const std::vector<BitConfig> random = random_configs_at(from, found.relative, kEqualCost, settings_.controls, training->request.recipe.seed);
    std::cerr << "search: judging the result and " << random.size() << " random configurations of its cost\n";
    const json evidence = against_random(*training, found.config, random);
    json record{{"layers", layers_json(found.config, space)}, {"relative", found.relative}, {"validation", validation}, {"against_random", evidence}};
    training->model = export_with(*training, {{"searched", found.config}});
    return record;
  }

 private:
  SearchPoint search(const FinishedTraining& training, const DrawSpace& from, json* record) const {
    const ModelData& parts = training.model;
    const auto set = first_images(training.splits.validation, static_cast<std::size_t>(settings_.pictures));
    const std::vector<Sample> samples =
        evaluation_samples(*set, EvaluationSet::kSeen, standard_mixture(), parts.network.input_shape(), parts.preprocessing.stretch);
    GreedyOptions options;
    // The last event may have taken the candidates that the budget needs: the search then goes as low as it can.
    options.budget = std::max(settings_.budget, from.relative(cheapest_config(from)));
    if (options.budget > settings_.budget)
      std::cerr << "warning: the candidates that the scheduler left reach " << options.budget << ", not the budget of " << settings_.budget << "\n";
    training.clock->begin("search");
    const GreedyResult result = greedy_search(from, BatchJudge(&training.supernet, samples, training.request.threads), options);
    training.clock->begin("finalists");
    std::vector<SearchPoint> finalists;
    for (const SearchPoint& point : result.pareto)
      if (point.relative <= options.budget) finalists.push_back(point);
    if (finalists.size() > kFinalists) finalists.erase(finalists.begin(), finalists.end() - kFinalists);
    const SearchPoint found = choose_as_integers(training, finalists, samples, record);
    training.clock->begin("policy");
    (*record)["evaluations"] = result.evaluations;
    (*record)["budget"] = options.budget;
    std::cerr << "search: " << to_string(found.config, from.space) << ", relative cost " << found.relative << ", " << result.evaluations
              << " evaluations\n";
    return found;
  }

  Settings settings_;
  std::unique_ptr<BitWidthScheduler> scheduler_;
};

}  // namespace

std::unique_ptr<Method> make_rfquant(const Recipe& recipe) {
  return std::make_unique<RfQuant>(read_settings(recipe));
}

}  // namespace bitpilot
