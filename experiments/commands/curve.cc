#include "experiments/commands/curve.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/codecs/decode.h"
#include "experiments/config_trials.h"
#include "experiments/recipe.h"
#include "experiments/svg_plot.h"
#include "experiments/training_data.h"
#include "policy/equal_cost.h"
#include "policy/paired_bootstrap.h"
#include "runtime/commands/eval_tally.h"
#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

using nlohmann::json;

/// One configuration of one recipe, its seeds one behind the other.
struct Point {
  std::string name;
  json lambda;                             ///< of the recipe's method, null without one
  double bops = 0;                         ///< mean over the seeds
  std::vector<std::uint64_t> seeds;        ///< in the order given
  std::vector<StaticRival> sets;           ///< [set] with `bops` for its cost, pictures of all seeds
};

struct Series {
  std::string name;
  std::vector<std::string> runs;
  std::vector<std::string> models;  ///< hashes, [run]
  std::vector<Point> points;
};

/// NAME=DIR[,DIR…]
Series series_of(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw Error(ExitCode::kUsage, "\"" + text + "\" is no series", "--series", "write NAME=DIR[,DIR…], as joint=runs/abs-s0,runs/abs_mild-s0");
  Series series{text.substr(0, equals), {}, {}, {}};
  for (std::size_t at = equals + 1; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    series.runs.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return series;
}

/// Pictures of every evaluation set, and which picture of its set each one is.
struct Judging {
  Shape input;
  std::vector<std::string> labels;
  std::vector<std::vector<Sample>> sets;
  std::vector<std::vector<std::uint32_t>> index;

  /// The same pictures once for every seed: they are drawn together.
  std::vector<std::uint32_t> index_of(std::size_t set, std::size_t seeds) const {
    std::vector<std::uint32_t> all;
    for (std::size_t s = 0; s < seeds; ++s) all.insert(all.end(), index[set].begin(), index[set].end());
    return all;
  }
};

Judging make_judging(const std::string& run, const std::string& split) {
  const Recipe recipe = read_run_recipe(run);
  const auto model = Model::load(run + "/model.safetensors");
  const DataSplits splits = open_splits(recipe.data, decode_file);
  const auto set = first_images(split == "validation" ? splits.validation : splits.test, static_cast<std::size_t>(recipe.evaluation_images));
  Judging judging{model->data().network.input_shape(), model->data().labels, {}, {}};
  for (const EvaluationSet which : kEvaluationSets)
    judging.sets.push_back(evaluation_samples(*set, which, standard_mixture(), judging.input, model->data().preprocessing.stretch));
  judging.index.resize(judging.sets.size());
  return judging;
}

/// Judges every configuration of a run and puts it behind the same one of another seed.
void add_run(const std::string& run, Judging& judging, int threads, Series& series) {
  const Recipe recipe = read_run_recipe(run);
  const auto model = Model::load(run + "/model.safetensors");
  const ModelData& data = model->data();
  if (data.network.input_shape() != judging.input || data.labels != judging.labels)
    throw Error(ExitCode::kData, "the run sees other pictures or classes than the first one", run, "give runs on one data set");
  const CostTable bops = bops_table(data.network, data.space);
  const std::vector<ConfigTrials> trials = try_model(data, judging.sets, threads);
  for (std::size_t s = 0; s < trials.size(); ++s) judging.index[s] = trials[s].index;
  series.models.push_back(model->hash());
  for (std::size_t k = 0; k < data.anchors.size(); ++k) {
    const std::string name = recipe.name + "/" + data.anchors[k].name;
    auto point = std::find_if(series.points.begin(), series.points.end(), [&](const Point& other) { return other.name == name; });
    if (point == series.points.end()) {
      const bool priced = !recipe.method.is_null() && recipe.method.contains("lambda");
      series.points.push_back({name, priced ? recipe.method["lambda"] : json(), 0, {}, std::vector<StaticRival>(trials.size())});
      point = series.points.end() - 1;
    }
    if (std::count(point->seeds.begin(), point->seeds.end(), recipe.seed) > 0)
      throw Error(ExitCode::kUsage, "the series has " + name + " of seed " + std::to_string(recipe.seed) + " twice", "--series " + series.name,
                  "give every run once");
    const auto seeds = static_cast<double>(point->seeds.size());
    point->bops = (point->bops * seeds + bops.cost(data.anchors[k].config)) / (seeds + 1);
    point->seeds.push_back(recipe.seed);
    for (std::size_t s = 0; s < trials.size(); ++s) {
      std::vector<std::uint8_t>& correct = point->sets[s].correct;
      correct.insert(correct.end(), trials[s].correct[k].begin(), trials[s].correct[k].end());
    }
  }
  for (Point& point : series.points)
    for (StaticRival& set : point.sets) set.name = point.name, set.relative = point.bops;
}

/// Pictures of several seeds are paired, so all points must have the same seeds in the same order.
void check_seeds(const std::vector<Series>& all) {
  const Point& first = all.front().points.front();
  for (const Series& series : all)
    for (const Point& point : series.points)
      if (point.seeds != first.seeds)
        throw Error(ExitCode::kUsage, point.name + " has other seeds than " + first.name, "--series " + series.name,
                    "give every configuration in the same seeds, in the same order");
}

/// Share that was right with its 95 % interval: Wilson's, of several seeds by drawing pictures, which all seeds share.
std::pair<double, double> interval_of(const Point& point, std::size_t set, const Judging& judging) {
  const std::vector<std::uint8_t>& correct = point.sets[set].correct;
  if (point.seeds.size() == 1) return wilson_interval(static_cast<std::size_t>(std::count(correct.begin(), correct.end(), 1)), correct.size());
  const Interval interval = paired_bootstrap({correct.begin(), correct.end()}, judging.index_of(set, point.seeds.size()));
  return {interval.low, interval.high};
}

json point_json(const Point& point, const Judging& judging) {
  json entry{{"name", point.name}, {"bops", point.bops}, {"seeds", point.seeds}};
  if (!point.lambda.is_null()) entry["lambda"] = point.lambda;
  for (std::size_t s = 0; s < point.sets.size(); ++s) {
    const auto [low, high] = interval_of(point, s, judging);
    entry[evaluation_set_name(kEvaluationSets[s])] = {
        {"accuracy", share_right(point.sets[s].correct)}, {"accuracy_ci95", {low, high}}, {"images", judging.index[s].size()}};
  }
  return entry;
}

/// `ours` minus the best mix of a series' points that costs as much, picture by picture; where all of them are dearer, minus the cheapest
/// all the same, which flatters nobody.  Where all of them are cheaper there is no such mix and no gain.
json against(const Point& ours, const Series& theirs, const Judging& judging) {
  const auto [least, most] = std::minmax_element(theirs.points.begin(), theirs.points.end(), [](const Point& a, const Point& b) { return a.bops < b.bops; });
  const double slack = 1e-9 * ours.bops;  // of rounding: a point against itself stands at equal cost
  json entry{{"name", ours.name}, {"bops", ours.bops}, {"against", theirs.name}, {"cost", "equal"}};
  if (ours.bops < least->bops - slack) entry["cost"] = "less than any of theirs";
  if (ours.bops > most->bops + slack) {
    entry["cost"] = "more than any of theirs";
    return entry;
  }
  for (std::size_t s = 0; s < ours.sets.size(); ++s) {
    std::vector<StaticRival> statics;
    for (const Point& point : theirs.points) statics.push_back(point.sets[s]);
    const std::vector<std::uint32_t> index = judging.index_of(s, ours.seeds.size());
    entry[evaluation_set_name(kEvaluationSets[s])] = against_hull(ours.sets[s].correct, ours.bops, statics, {&index, /*seed=*/0, /*resamples=*/1000});
  }
  return entry;
}

/// A panel for each set of pictures.
std::string picture_of(const std::vector<Series>& all, const std::string& split, const Judging& judging) {
  const char* const names[] = {"seen families", "held-out families", "clean pictures"};
  std::vector<Plot> panels;
  for (std::size_t s = 0; s < judging.sets.size(); ++s) {
    Plot plot;
    plot.title = "Accuracy over cost, " + std::string(names[s]) + " (" + split + " split)";
    plot.x_label = "mega bit operations a picture";
    plot.y_label = "accuracy, %";
    for (const Series& series : all) {
      PlotSeries line{series.name, series.points.size() > 1 ? PlotSeries::Kind::kLine : PlotSeries::Kind::kPoints, {}, {}, {}};
      std::vector<const Point*> sorted;
      for (const Point& point : series.points) sorted.push_back(&point);
      std::sort(sorted.begin(), sorted.end(), [](const Point* a, const Point* b) { return a->bops < b->bops; });
      for (const Point* point : sorted) {
        const auto [low, high] = interval_of(*point, s, judging);
        line.points.emplace_back(point->bops / 1e6, 100 * share_right(point->sets[s].correct));
        line.intervals.emplace_back(100 * low, 100 * high);
      }
      plot.series.push_back(std::move(line));
    }
    panels.push_back(std::move(plot));
  }
  return svg(panels);
}

}  // namespace

int run_curve(const std::vector<std::string>& args) {
  std::vector<std::string> texts;
  std::string split = "test", json_file, svg_file;
  std::int64_t threads = 2;
  Options options("curve", "accuracy over cost of series of runs, the first series against each other one at equal cost");
  options.list("series", "NAME=DIR,…", texts, "run folders of one curve, the same recipe in several seeds as one point (repeatable; the first series is compared with the others)");
  options.text("split", "SPLIT", split, "test, or validation where something is still to be chosen");
  options.integer("threads", "N", threads, 1, 256, "threads; the result does not depend on it");
  options.text("json", "FILE", json_file, "where the figures go; - for stdout").required();
  options.text("svg", "FILE", svg_file, "where the picture goes, a panel for each set");
  if (!options.parse(args)) return 0;
  if (split != "test" && split != "validation")
    throw Error(ExitCode::kUsage, "\"" + split + "\" is no split to judge on", "--split", "take test or validation");
  if (texts.empty()) throw Error(ExitCode::kUsage, "no series", "--series", "give at least one, as joint=runs/abs-s0");
  std::vector<Series> all;
  for (const std::string& text : texts) all.push_back(series_of(text));

  Judging judging = make_judging(all.front().runs.front(), split);
  json result{{"schema", "bitpilot.curve/1"}, {"split", split}, {"series", json::array()}, {"gains", json::array()}};
  for (Series& series : all)
    for (const std::string& run : series.runs) add_run(run, judging, static_cast<int>(threads), series);
  check_seeds(all);
  for (const Series& series : all) {
    json points = json::array();
    for (const Point& point : series.points) points.push_back(point_json(point, judging));
    result["series"].push_back({{"name", series.name}, {"models", series.models}, {"points", points}});
  }
  for (std::size_t other = 1; other < all.size(); ++other)
    for (const Point& point : all.front().points) result["gains"].push_back(against(point, all[other], judging));
  if (json_file == "-") std::cout << result.dump(2) << "\n";
  else write_file_atomically(json_file, result.dump(2) + "\n");
  if (!svg_file.empty()) write_file_atomically(svg_file, picture_of(all, split, judging));
  return 0;
}

}  // namespace bitpilot
