#include "experiments/commands/compare.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/codecs/decode.h"
#include "experiments/comparison.h"
#include "experiments/form_comparison.h"
#include "experiments/look_times.h"
#include "experiments/recipe.h"
#include "experiments/training_data.h"
#include "runtime/budget_table.h"
#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/look_confidence.h"

namespace bitpilot {
namespace {

using nlohmann::json;

std::shared_ptr<const Model> model_of(const std::string& run) { return Model::load(run + "/model.safetensors"); }

OutcomeTable judged(const std::shared_ptr<const Model>& model, const std::vector<Sample>& samples, int threads) {
  return roll_out(model, samples.size(), [&](std::size_t i) { return samples[i]; }, threads);
}

/// FIRST>SECOND:MBOPS,MBOPS…
ComparisonRequest::Pair pair_of(const std::string& text) {
  const auto fail = [&]() -> Error {
    return Error(ExitCode::kUsage, "\"" + text + "\" is no cascade", "--cascade", "write FIRST>SECOND:MBOPS[,MBOPS…], as half8>full8:300,350");
  };
  const std::size_t arrow = text.find('>'), colon = text.find(':');
  if (arrow == std::string::npos || colon == std::string::npos || colon < arrow) throw fail();
  ComparisonRequest::Pair pair{text.substr(0, arrow), text.substr(arrow + 1, colon - arrow - 1), {}};
  for (std::size_t at = colon + 1; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    char* end = nullptr;
    const std::string number = text.substr(at, comma - at);
    const double value = std::strtod(number.c_str(), &end);
    if (number.empty() || *end != '\0' || !(value > 0)) throw fail();
    pair.bops.push_back(value * 1e6);
    at = comma + 1;
  }
  return pair;
}

/// Adds measured milliseconds on the first set's pictures to every row; the rows of a rival are its fixed configuration.
void add_times(json* result, const std::shared_ptr<const Model>& model, const std::vector<std::shared_ptr<const Model>>& alone,
               const std::vector<Sample>& samples, const OutcomeTable& table, const std::string& set) {
  const ModelData& data = model->data();
  const auto anchor_of = [&](const std::string& name) {
    return static_cast<int>(std::find_if(data.anchors.begin(), data.anchors.end(), [&](const Anchor& a) { return a.name == name; }) - data.anchors.begin());
  };
  std::vector<TimedRule> rules;
  std::vector<json*> rows;
  const auto add = [&](TimedRule rule, json& row) {
    rules.push_back(std::move(rule));
    rows.push_back(&row);
  };
  json& own = (*result)["anchors"];
  for (std::size_t k = 0; k < data.anchors.size(); ++k) add({.model = model, .anchor = static_cast<int>(k)}, own[data.anchors[k].name]);
  const double reference = bops_table(data.network, data.space).reference();
  for (json& row : (*result)["policy"]) {
    TimedRule rule{.model = model, .lambdas = std::vector<double>(table.size(), row["lambda"].get<double>()), .guard = row["guard"]};
    const std::vector<BudgetPoint> prices = budget_table(data, rule.guard);
    for (std::size_t i = 0; !row["wanted_bops"].is_null() && i < table.size(); ++i)
      rule.lambdas[i] = lambda_for(prices, row["wanted_bops"].get<double>() / reference, i);
    add(std::move(rule), row);
  }
  for (json& row : (*result)["cascades"]) {
    TimedRule rule{.model = model, .anchor = anchor_of(row["first"]), .second = anchor_of(row["second"]), .go = std::vector<std::uint8_t>(table.size())};
    const double threshold = row[set]["threshold"];
    const auto first = static_cast<std::size_t>(rule.anchor);
    for (std::size_t i = 0; i < table.size(); ++i)
      rule.go[i] = look_confidence(table.scores_of(i, first), data.anchors[first].temperature).top < threshold;
    add(std::move(rule), row);
  }
  std::size_t at = 0;
  for (const auto& other : alone)
    for (std::size_t k = 0; k < other->data().anchors.size(); ++k) add({.model = other, .anchor = static_cast<int>(k)}, (*result)["rivals"][at++]);
  const std::vector<double> times = look_times(rules, samples);
  for (std::size_t r = 0; r < rows.size(); ++r) (*rows[r])["ms"] = times[r];
}

/// One line for each pair of a fixed network and a rival.
void print_differences(const json& result, const std::vector<std::string>& sets) {
  for (const json& row : result["differences"]) {
    std::cout << row["anchor"].get<std::string>() << " minus " << row["rival"].get<std::string>() << ", points:";
    for (const std::string& set : sets) {
      const json& difference = row[set]["difference"];
      char text[96];
      std::snprintf(text, sizeof text, " %+.2f [%+.2f, %+.2f],", 100 * difference["mean"].get<double>(),
                    100 * difference["ci95"][0].get<double>(), 100 * difference["ci95"][1].get<double>());
      std::cout << " " << set << text;
    }
    char ratio[48];
    std::snprintf(ratio, sizeof ratio, " at %.3f of its BOPs\n", row["bops_ratio"].get<double>());
    std::cout << ratio;
  }
}

}  // namespace

int run_compare(const std::vector<std::string>& args) {
  std::string run, json_file;
  std::vector<std::string> rival_runs, forms, cascades, budgets;
  std::int64_t threads = 2;
  Options options("compare", "judge a run against networks trained alone, picture by picture");
  options.text("run", "DIR", run, "run folder of the shared network").required();
  options.list("rival", "DIR", rival_runs, "run folder of networks trained alone; all its anchors count (repeatable)");
  options.list("form", "DIR", forms, "run folder of one Form trained alone: the same Form of an EQ-Net run is compared with it (repeatable)");
  options.list("bops", "MBOPS", budgets, "mean cost at which the policy is compared, beside its default price (repeatable)");
  options.list("cascade", "A>B:MBOPS,…", cascades, "pair of anchors and the mean costs at which it is compared (repeatable)");
  options.integer("threads", "N", threads, 1, 256, "threads; the result does not depend on it");
  options.text("json", "FILE", json_file, "where the comparison goes; - for stdout").required();
  if (!options.parse(args)) return 0;

  ComparisonRequest request;
  for (const std::string& text : cascades) request.pairs.push_back(pair_of(text));
  for (const std::string& text : budgets) {
    char* end = nullptr;
    request.bops.push_back(std::strtod(text.c_str(), &end) * 1e6);
    if (*end != '\0' || !(request.bops.back() > 0)) throw Error(ExitCode::kUsage, "\"" + text + "\" is no cost", "--bops", "give mega bit operations, as 60");
  }
  const Recipe recipe = read_run_recipe(run);
  const DataSplits splits = open_splits(recipe.data, decode_file);
  const auto model = model_of(run);
  const ModelData& data = model->data();
  const Draws draws = draws_of(recipe, data, splits.validation, "validation", recipe.policy.draws);
  const OutcomeTable validation = roll_out(model, draws.count, draws.at, static_cast<int>(threads));
  const auto test = first_images(splits.test, static_cast<std::size_t>(recipe.evaluation_images));

  std::vector<std::string> recipes;
  for (const std::string& folder : rival_runs) recipes.push_back(read_run_recipe(folder).name);
  const std::vector<std::string> names = rival_run_names(recipes, rival_runs);
  std::vector<std::shared_ptr<const Model>> alone;
  std::vector<Rival> rivals;
  for (std::size_t r = 0; r < rival_runs.size(); ++r) {
    const std::string& folder = rival_runs[r];
    alone.push_back(model_of(folder));
    const ModelData& other = alone.back()->data();
    if (other.network.input_shape() != data.network.input_shape() || other.labels != data.labels)
      throw Error(ExitCode::kData, "the rival sees other pictures or classes", folder, "compare runs on the same data set");
    const CostTable bops = bops_table(other.network, other.space);
    for (const Anchor& anchor : other.anchors)
      rivals.push_back({names[r], anchor.name + (other.network == data.network ? "" : " of " + other.network.name), anchor.config,
                        bops.cost(anchor.config), {}});
  }
  std::vector<OutcomeTable> tables;
  std::vector<std::vector<Sample>> sets;
  ComparedModel compared{&data, &validation, {}, {}};
  for (const EvaluationSet which : kEvaluationSets) {
    std::vector<Sample> samples =
        evaluation_samples(*test, which, standard_mixture(), data.network.input_shape(), data.preprocessing.stretch);
    tables.push_back(judged(model, samples, static_cast<int>(threads)));
    compared.sets.push_back(evaluation_set_name(which));
    std::size_t at = 0;
    for (const auto& other : alone) {
      const OutcomeTable table = judged(other, samples, static_cast<int>(threads));
      for (std::size_t k = 0; k < table.anchors; ++k, ++at) {
        std::vector<std::uint8_t> correct(table.size());
        for (std::size_t i = 0; i < table.size(); ++i) correct[i] = table.correct(i, k);
        rivals[at].correct.push_back(std::move(correct));
      }
    }
    sets.push_back(std::move(samples));
  }
  for (const OutcomeTable& table : tables) compared.tables.push_back(&table);
  json result = compare(compared, rivals, request);
  add_times(&result, model, alone, sets.front(), tables.front(), compared.sets.front());
  for (const std::string& folder : forms) result["forms"].push_back(compare_form(run, folder, sets, static_cast<int>(threads)));
  if (json_file == "-") {
    std::cout << result.dump(2) << "\n";
  } else {
    write_file_atomically(json_file, result.dump(2) + "\n");
    print_differences(result, compared.sets);
  }
  return 0;
}

}  // namespace bitpilot
