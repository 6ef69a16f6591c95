#include "experiments/static_search.h"

#include <iostream>

#include "policy/genetic.h"
#include "policy/greedy.h"
#include "policy/integer_program.h"
#include "policy/taught_predictor.h"
#include "runtime/core/network.h"

namespace bitpilot {
namespace {

using nlohmann::json;

constexpr int kTaught = 800;    // configurations that the genetic search's predictor learns from
constexpr int kTested = 100;    // and is tested on

StaticFound search_greedily(const StaticSearch& search, const DrawSpace& from, const ConfigJudge& judge) {
  GreedyOptions options;
  options.budget = search.budget;
  if (!search.quiet)
    options.on_move = [&](const SearchPoint& point) {
      std::cerr << "search  relative " << point.relative << "  loss " << point.loss << "  " << to_string(point.config, from.space) << "\n";
    };
  const GreedyResult result = greedy_search(from, judge, options);
  json details{{"pareto", json::array()}};
  for (const SearchPoint& point : result.pareto) details["pareto"].push_back(point_json(point, from.space));
  return {result.best, details};
}

StaticFound solve_program(const StaticSearch& search, const DrawSpace& from, const ConfigJudge& judge) {
  const SearchPoint solved = solve_bits(measure_sensitivity(from, judge), from, search.budget);
  SearchPoint best = judge(solved.config);
  best.relative = solved.relative;
  return {best, {{"predicted_loss", solved.loss}}};
}

/// By a predictor that is taught on judged configurations of all costs.
StaticFound search_genetically(const StaticSearch& search, const DrawSpace& from, const ConfigJudge& judge) {
  JudgedSubnets lessons, tested;
  for (const BitConfig& config : spread_configs(from, kTaught + kTested, /*seed=*/0)) {
    (std::ssize(lessons.subnets) < kTaught ? lessons : tested).add({config, {}}, judge(config), from.cost.cost(config));
    const std::size_t judged = lessons.subnets.size() + tested.subnets.size();
    if (!search.quiet && judged % 100 == 0) std::cerr << "search  " << judged << " configurations judged\n";
  }
  const TaughtPredictor taught = teach_predictor(lessons, tested, from.space, {});
  if (const std::string warning = predictor_warning(taught.report); !warning.empty()) std::cerr << "warning: " << warning << "\n";
  const ConfigPredictor predict = [&](const std::vector<BitConfig>& configs) {
    std::vector<Subnet> asked;
    for (const BitConfig& config : configs) asked.push_back({config, {}});
    return taught.predictor.predict(asked);
  };
  GeneticOptions options;
  options.budget = search.budget;
  const GeneticResult result = genetic_search(from, predict, judge, options);
  json details{{"predictor", to_json(taught.report)}, {"remeasured", json::array()}};
  for (std::size_t i = 0; i < result.remeasured.size(); ++i) {
    details["remeasured"].push_back(point_json(result.remeasured[i], from.space));
    details["remeasured"].back()["predicted"] = result.predicted[i];
  }
  return {result.best, details};
}

using Finder = StaticFound (*)(const StaticSearch&, const DrawSpace&, const ConfigJudge&);
constexpr std::pair<const char*, Finder> kMethods[] = {{"greedy", search_greedily}, {"ilp", solve_program}, {"genetic", search_genetically}};

json widths_json(const std::vector<WidthTrial>& trials, const BitSpace& space) {
  json rows = json::array();
  for (const WidthTrial& trial : trials) {
    json blocks = json::array();
    for (std::size_t l = 0; l < trial.blocks.size(); ++l)
      if (!space.layers[l].fixed) blocks.push_back(trial.blocks[l]);
    rows.push_back({{"blocks", blocks}, {"least", trial.least}, {"searched", trial.searched},
                    {"highest_loss", trial.affordable ? json(trial.highest.loss) : json()}});
  }
  return rows;
}

}  // namespace

const std::vector<std::string>& static_search_methods() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const auto& [name, finder] : kMethods) list.emplace_back(name);
    return list;
  }();
  return names;
}

json point_json(const SearchPoint& point, const BitSpace& space) {
  json bits = json::array();
  for (std::size_t l = 0; l < point.config.size(); ++l)
    if (!space.layers[l].fixed) bits.push_back({point.config[l].weight, point.config[l].activation, point.config[l].active_blocks});
  return {{"bits", bits}, {"relative", point.relative}, {"accuracy", point.accuracy}, {"loss", point.loss}};
}

std::vector<WidthPattern> width_patterns_of(const ModelData& model, bool mixed) {
  std::vector<BitConfig> anchors;
  for (const Anchor& anchor : model.anchors) anchors.push_back(anchor.config);
  std::vector<WidthPattern> patterns = width_patterns(model.space, anchors);
  return mixed ? mixed_widths(model.network, patterns) : patterns;
}

StaticFound search_static(const StaticSearch& search, const ModelData& model, const CostTable& cost, const RememberingJudge& judge) {
  Finder find = nullptr;
  for (const auto& [name, function] : kMethods)
    if (search.method == name) find = function;
  const auto widths = width_patterns_of(model, search.mixed_widths);
  std::vector<json> details(widths.size());
  const WidthSearchResult result = search_widths(model.space, cost, widths, search.budget, judge,
                                                 [&](const DrawSpace& from, std::size_t width) {
                                                   StaticFound found = find(search, from, judge);
                                                   details[width] = std::move(found.details);
                                                   return found.best;
                                                 });
  json record = std::move(details[result.winner]);
  record["evaluations"] = judge.evaluations();
  record["widths"] = widths_json(result.trials, model.space);
  return {result.best, record};
}

}  // namespace bitpilot
