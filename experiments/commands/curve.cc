#include "experiments/commands/curve.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/codecs/decode.h"
#include "env/outcomes.h"
#include "experiments/recipe.h"
#include "experiments/svg_plot.h"
#include "experiments/training_data.h"
#include "policy/paired_bootstrap.h"
#include "policy/static_hull.h"
#include "runtime/commands/eval_tally.h"
#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

using nlohmann::json;
using Correct = std::vector<std::uint8_t>;

/// One configuration of one run.
struct Point {
  std::string name;
  json lambda;  ///< of the recipe's method, null without one
  double bops = 0;
  std::vector<Correct> correct;  ///< [set]
};

struct Series {
  std::string name;
  std::vector<std::string> runs;
  std::vector<Point> points;
};

/// NAME=DIR[,DIR…]
Series series_of(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw Error(ExitCode::kUsage, "\"" + text + "\" is no series", "--series", "write NAME=DIR[,DIR…], as joint=runs/abs-s0,runs/abs_dear-s0");
  Series series{text.substr(0, equals), {}, {}};
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

std::vector<Point> points_of(const std::string& run, Judging& judging, int threads) {
  const Recipe recipe = read_run_recipe(run);
  const auto model = Model::load(run + "/model.safetensors");
  const ModelData& data = model->data();
  if (data.network.input_shape() != judging.input || data.labels != judging.labels)
    throw Error(ExitCode::kData, "the run sees other pictures or classes than the first one", run, "give runs on one data set");
  const CostTable bops = bops_table(data.network, data.space);
  std::vector<Point> points;
  for (const Anchor& anchor : data.anchors) {
    const bool priced = !recipe.method.is_null() && recipe.method.contains("lambda");
    points.push_back({recipe.name + "/" + anchor.name, priced ? recipe.method["lambda"] : json(), bops.cost(anchor.config), {}});
  }
  for (std::size_t s = 0; s < judging.sets.size(); ++s) {
    const std::vector<Sample>& samples = judging.sets[s];
    const OutcomeTable table = roll_out(model, samples.size(), [&](std::size_t i) { return samples[i]; }, threads);
    judging.index[s] = table.index;
    for (std::size_t k = 0; k < points.size(); ++k) {
      Correct& correct = points[k].correct.emplace_back(table.size());
      for (std::size_t i = 0; i < table.size(); ++i) correct[i] = table.correct(i, k);
    }
  }
  return points;
}

json point_json(const Point& point) {
  json entry{{"name", point.name}, {"bops", point.bops}};
  if (!point.lambda.is_null()) entry["lambda"] = point.lambda;
  for (std::size_t s = 0; s < point.correct.size(); ++s) {
    const auto right = static_cast<std::size_t>(std::count(point.correct[s].begin(), point.correct[s].end(), 1));
    const auto [low, high] = wilson_interval(right, point.correct[s].size());
    entry[evaluation_set_name(kEvaluationSets[s])] = {
        {"accuracy", share_right(point.correct[s])}, {"accuracy_ci95", {low, high}}, {"images", point.correct[s].size()}};
  }
  return entry;
}

/// `ours` minus the best mix of a series' points that costs as much, picture by picture.
json against(const Point& ours, const Series& theirs, const Judging& judging) {
  json entry{{"name", ours.name}, {"bops", ours.bops}, {"against", theirs.name}};
  for (std::size_t s = 0; s < ours.correct.size(); ++s) {
    std::vector<HullPoint> hull;
    for (std::size_t i = 0; i < theirs.points.size(); ++i)
      hull.push_back({theirs.points[i].name, theirs.points[i].bops, share_right(theirs.points[i].correct[s]), static_cast<int>(i)});
    const HullMix mix = StaticHull(std::move(hull)).at(ours.bops);
    const std::vector<double> right = mix.right(theirs.points[static_cast<std::size_t>(mix.low.index)].correct[s],
                                                theirs.points[static_cast<std::size_t>(mix.high.index)].correct[s]);
    entry[evaluation_set_name(kEvaluationSets[s])] = {
        {"accuracy", mix.accuracy}, {"bops", (1 - mix.share) * mix.low.relative + mix.share * mix.high.relative},
        {"low", mix.low.name}, {"high", mix.high.name}, {"share", mix.share},
        {"gain", interval_json(paired_gain(ours.correct[s], right, judging.index[s], /*seed=*/0, /*resamples=*/1000))}};
  }
  return entry;
}

std::string picture_of(const std::vector<Series>& all, const std::string& split) {
  Plot plot;
  plot.title = "Accuracy over cost, seen families (" + split + " pictures)";
  plot.x_label = "mega bit operations a picture";
  plot.y_label = "accuracy, %";
  for (const Series& series : all) {
    PlotSeries line{series.name, series.points.size() > 1 ? PlotSeries::Kind::kLine : PlotSeries::Kind::kPoints, {}, {}, {}};
    std::vector<const Point*> sorted;
    for (const Point& point : series.points) sorted.push_back(&point);
    std::sort(sorted.begin(), sorted.end(), [](const Point* a, const Point* b) { return a->bops < b->bops; });
    for (const Point* point : sorted) {
      const Correct& seen = point->correct.front();
      const auto [low, high] = wilson_interval(static_cast<std::size_t>(std::count(seen.begin(), seen.end(), 1)), seen.size());
      line.points.emplace_back(point->bops / 1e6, 100 * share_right(seen));
      line.intervals.emplace_back(100 * low, 100 * high);
    }
    plot.series.push_back(std::move(line));
  }
  return svg(plot);
}

}  // namespace

int run_curve(const std::vector<std::string>& args) {
  std::vector<std::string> texts;
  std::string split = "test", json_file, svg_file;
  std::int64_t threads = 2;
  Options options("curve", "accuracy over cost of series of runs, the first series against each other one at equal cost");
  options.list("series", "NAME=DIR,…", texts, "run folders of one curve (repeatable; the first one is compared with the others)");
  options.text("split", "SPLIT", split, "test, or validation where something is still to be chosen");
  options.integer("threads", "N", threads, 1, 256, "threads; the result does not depend on it");
  options.text("json", "FILE", json_file, "where the figures go; - for stdout").required();
  options.text("svg", "FILE", svg_file, "where the picture goes");
  if (!options.parse(args)) return 0;
  if (split != "test" && split != "validation")
    throw Error(ExitCode::kUsage, "\"" + split + "\" is no split to judge on", "--split", "take test or validation");
  if (texts.empty()) throw Error(ExitCode::kUsage, "no series", "--series", "give at least one, as joint=runs/abs-s0");
  std::vector<Series> all;
  for (const std::string& text : texts) all.push_back(series_of(text));

  Judging judging = make_judging(all.front().runs.front(), split);
  json result{{"schema", "bitpilot.curve/1"}, {"split", split}, {"series", json::array()}, {"gains", json::array()}};
  for (Series& series : all) {
    json points = json::array();
    for (const std::string& run : series.runs)
      for (Point& point : points_of(run, judging, static_cast<int>(threads))) {
        points.push_back(point_json(point));
        series.points.push_back(std::move(point));
      }
    result["series"].push_back({{"name", series.name}, {"points", points}});
  }
  for (std::size_t other = 1; other < all.size(); ++other)
    for (const Point& point : all.front().points) result["gains"].push_back(against(point, all[other], judging));
  if (json_file == "-") std::cout << result.dump(2) << "\n";
  else write_file_atomically(json_file, result.dump(2) + "\n");
  if (!svg_file.empty()) write_file_atomically(svg_file, picture_of(all, split));
  return 0;
}

}  // namespace bitpilot
