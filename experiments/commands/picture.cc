#include "experiments/commands/picture.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "experiments/svg_plot.h"
#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"

namespace bitpilot {
namespace {

using nlohmann::json;

/// Sum over the seeds of a (cost, accuracy) pair; by name or by place in a sweep.
struct Mean {
  double mbops = 0, percent = 0;
  int count = 0;
  void add(double bops, double accuracy) {
    mbops += bops / 1e6;
    percent += 100 * accuracy;
    ++count;
  }
  std::pair<double, double> point() const { return {mbops / count, percent / count}; }
};

std::vector<std::string> files_of(const std::string& folder, const std::string& name, const std::string& what) {
  std::error_code failure;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failure)) {
    const std::string file = entry.path().filename().string();
    if (file.starts_with(name + "-s") && file.ends_with("-" + what + ".json")) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

json records_of(const std::string& file) {
  json records = parse_json(read_file(file), file);
  if (records.is_array()) return records;
  json list = json::array();
  list.push_back(std::move(records));
  return list;
}

PlotSeries cloud(const std::string& name, const std::map<std::string, Mean>& means) {
  PlotSeries series{name, PlotSeries::Kind::kPoints, {}, {}, {}};
  for (const auto& [label, mean] : means) {
    series.points.push_back(mean.point());
    series.labels.push_back(label);
  }
  return series;
}

/// Mean over the seeds of a rival's validation reward, and of its curve point by point; nothing where no record is kept.
struct LearnedMean {
  double reward = 0;
  std::vector<std::pair<double, double>> curve;
  std::size_t seeds = 0;
};

LearnedMean learned_mean(const std::string& results, const std::string& name, const std::string& method, const std::string& over) {
  const std::vector<std::string> files = files_of(results, name, method);
  LearnedMean mean;
  mean.seeds = files.size();
  const auto share = 1.0 / static_cast<double>(files.size());
  for (const std::string& file : files) {
    const json record = records_of(file).front();
    const json& metrics = record.at("metrics");
    mean.reward += share * metrics.at("validation").at("reward").get<double>();
    const json& curve = metrics.at("curve");
    if (mean.curve.empty()) mean.curve.resize(curve.size());
    if (curve.size() != mean.curve.size())
      throw Error(ExitCode::kData, "the curve has another number of points than that of the seed before it", file, "measure all seeds with the same evaluations");
    for (std::size_t i = 0; i < curve.size(); ++i) {
      mean.curve[i].first += share * curve[i].at(over).get<double>();
      mean.curve[i].second += share * curve[i].at("reward").get<double>();
    }
  }
  return mean;
}

/// Reward over what learning has cost, of every learner with a record; rules and the oracle as lines across.
Plot learning_curves(const std::string& results, const std::string& over) {
  static const std::vector<std::pair<std::string, std::string>> learners{
      {"hybrid", "DQMQ's hybrid"}, {"reinforce", "REINFORCE"}, {"ppo", "PPO"},           {"ddpg", "DDPG (HAQ)"},
      {"gumbel", "Gumbel-softmax"}, {"fracbits", "FracBits"}};
  static const std::vector<std::pair<std::string, std::string>> lines{{"cascade", "threshold cascade"}, {"oracle", "oracle: knows every label"}};
  Plot plot;
  plot.title = std::string("Learning curves over ") + (over == "seconds" ? "seconds" : "passes of the network");
  plot.x_label = over == "seconds" ? "seconds of learning, the time of its passes included" : "passes of the network that learning took";
  plot.y_label = "reward on validation";
  plot.log_x = true;
  plot.height = 600;  // the oracle stands far above all others
  double low = INFINITY, high = 0;
  std::size_t seeds = 0;
  for (const auto& [method, title] : learners) {
    const LearnedMean mean = learned_mean(results, method, method, over);
    if (mean.curve.empty()) continue;
    plot.series.push_back({mean.seeds == 1 ? title : title + ", " + std::to_string(mean.seeds) + " seeds", PlotSeries::Kind::kLine, mean.curve, {}, {}});
    for (const auto& [x, y] : mean.curve) low = std::min(low, x), high = std::max(high, x);
    seeds += mean.seeds;
  }
  if (seeds == 0) throw Error(ExitCode::kData, "no record of a learner", results, "make it with experiments/reproduce --only hybrid");
  for (const auto& [method, title] : lines) {
    const LearnedMean mean = learned_mean(results, "baselines", method, over);
    if (mean.seeds > 0) plot.series.push_back({title, PlotSeries::Kind::kLine, {{low, mean.reward}, {high, mean.reward}}, {}, {}});
  }
  return plot;
}

}  // namespace

int run_picture(const std::vector<std::string>& args) {
  std::string results = "experiments/results", name = "dqmq_fashion_mnist", set = "seen", learning, out;
  Options options("picture", "draw accuracy over cost, or learning curves, from the records of experiments/results");
  options.text("results", "DIR", results, "folder of records");
  options.text("name", "NAME", name, "experiment: NAME-sSEED-training.json and -comparison.json");
  options.text("set", "SET", set, "seen, held_out or clean");
  options.text("learning", "AXIS", learning, "evaluations or seconds: draw the rivals' learning curves over it instead");
  options.text("out", "FILE.svg", out, "where the picture goes").required();
  if (!options.parse(args)) return 0;
  if (set == "held-out") set = "held_out";  // as eval --mixture has it
  if (set != "seen" && set != "held_out" && set != "clean")
    throw Error(ExitCode::kUsage, "--set takes seen, held_out or clean, not \"" + set + "\"", "bitpilot-train picture", "give --set seen");
  if (!learning.empty()) {
    if (learning != "evaluations" && learning != "seconds")
      throw Error(ExitCode::kUsage, "there is no axis called \"" + learning + "\"", "--learning", "give evaluations or seconds");
    const Plot plot = learning_curves(results, learning);
    write_file_atomically(out, svg(plot));
    std::cout << out << ": " << plot.series.size() << " curves\n";
    return 0;
  }
  const std::vector<std::string> trainings = files_of(results, name, "training");
  if (trainings.empty())
    throw Error(ExitCode::kData, "no record of " + name, results, "make it with experiments/reproduce or experiments/record_results");

  std::map<std::string, Mean> anchors, alone;
  std::map<std::size_t, Mean> policy;
  Mean by_default, whole;
  for (const std::string& file : trainings)
    for (const json& record : records_of(file)) {
      const json& summary = record.at("summary");
      for (const auto& [anchor, entry] : summary.at("anchors").items()) anchors[anchor].add(entry.at("bops"), entry.at(set).at("accuracy"));
      whole.add(0, summary.at("float").at(set).at("accuracy"));
      if (!summary.contains("policy")) continue;
      const json &found = summary["policy"].at("sets").at(set), &sweep = found.at("sweep");
      const json& first = summary["anchors"].begin().value();
      const double reference = first.at("bops").get<double>() / first.at("relative").get<double>();
      for (std::size_t i = 0; i < sweep.size(); ++i)
        policy[i].add(sweep[i].at("relative").get<double>() * reference, sweep[i].at("accuracy"));
      by_default.add(found.at("default").at("relative").get<double>() * reference, found.at("default").at("accuracy"));
    }
  for (const std::string& file : files_of(results, name, "comparison"))
    for (const json& record : records_of(file))
      if (record.at("method").get<std::string>().starts_with("alone_"))
        alone[record["method"].get<std::string>().substr(6)].add(record.at("metrics").at("bops"), record["metrics"].at(set));

  Plot plot;
  std::string shown = set == "held_out" ? "held-out families" : set == "seen" ? "seen families" : "clean pictures";
  plot.title = "Accuracy over cost, " + shown + " (" + std::to_string(trainings.size()) + (trainings.size() == 1 ? " seed)" : " seeds, mean)");
  plot.x_label = "mega bit operations a picture, all looks and the policy included";
  plot.y_label = "accuracy, %";
  plot.log_x = true;
  PlotSeries curve{"policy, by price", PlotSeries::Kind::kLine, {}, {}, {}};
  for (const auto& [place, mean] : policy) curve.points.push_back(mean.point());
  std::sort(curve.points.begin(), curve.points.end());
  if (!curve.points.empty()) plot.series.push_back(curve);
  if (by_default.count > 0) plot.series.push_back({"policy, default price", PlotSeries::Kind::kPoints, {by_default.point()}, {}, {}});
  plot.series.push_back(cloud("its own fixed configurations", anchors));
  if (!alone.empty()) plot.series.push_back(cloud("networks trained alone", alone));
  write_file_atomically(out, svg(plot));
  std::cout << out << ": " << trainings.size() << " seeds; float network " << whole.point().second << " %\n";
  return 0;
}

}  // namespace bitpilot
