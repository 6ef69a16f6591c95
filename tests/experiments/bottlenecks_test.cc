#include "experiments/bottlenecks.h"

#include <doctest/doctest.h>

#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/core/random.h"
#include "tests/support/toy_training.h"

using namespace bitpilot;
using bitpilot::testing::toy_pictures;
using nlohmann::json;
using torch::Tensor;

namespace {

constexpr int kLive = 4;            // channels that carry all there is to know
constexpr double kOutlier = 50;     // weights that read nothing but stretch the grid
constexpr double kMildOutlier = 3;  // so far only that one bit more reaches the others again
constexpr const char* kPlanted = "second";

Network chain() {
  Network network;
  network.name = "chain";
  int x = network.relu(network.conv("stem", network.input({1, 12, 12}), 8, 3, 2));
  for (const char* layer : {"first", kPlanted, "third"}) x = network.relu(network.conv(layer, x, 16, 3));
  network.linear("classifier", network.global_avg_pool(x), 5);
  network.finish();
  return network;
}

Tensor named(QuantizedNetwork* network, const std::string& wanted) {
  for (const auto& [name, tensor] : network->parameters())
    if (name == wanted) return tensor;
  FAIL("no parameter ", wanted);
  return {};
}

/// A trained network whose second layer cannot be rounded: most of its inputs are always 0, and the weights that read those are `outlier`.
struct Planted {
  Network network = chain();
  BitSpace space = make_bit_space(network, {4, 8}, 8);
  BitConfig config = uniform_config(space, 4, 4);
  std::unique_ptr<QuantizedNetwork> trained = std::make_unique<QuantizedNetwork>(network, space, std::vector<PathSpec>{{"u4", config}}, /*quantized=*/true, 7);

  explicit Planted(double outlier = kOutlier) {
    QuantizedNetwork start(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 7);
    named(&start, "path.float.first.gamma").detach().narrow(0, kLive, 16 - kLive).fill_(1e-3);
    named(&start, "path.float.first.beta").detach().narrow(0, kLive, 16 - kLive).fill_(-10);
    named(&start, std::string(kPlanted) + ".weight").detach().narrow(1, kLive, 16 - kLive).fill_(outlier);
    constexpr int kSteps = 80;
    TrainingOptions options;
    options.learning_rate = 5e-3;
    TrainingLoop loop(&start, nullptr, kSteps, options);
    for (int i = 0; i < kSteps; ++i) loop.step(toy_pictures(60, static_cast<std::uint64_t>(i)), {});
    trained->start_from(start, toy_pictures(200, 1000).src);
  }

  BottleneckReport report(const TrainingBatch& pictures) { return report(pictures, std::vector<GuidedLayer>(config.size())); }
  BottleneckReport report(const TrainingBatch& pictures, const std::vector<GuidedLayer>& left) {
    return find_bottlenecks(trained.get(), config, left, {pictures}, 0);
  }
};

}  // namespace

TEST_CASE("experiments/bottlenecks: a planted bottleneck ranks first, and only while the labels are the pictures' own") {
  Planted planted;
  TrainingBatch pictures = toy_pictures(400, 2000);
  const BottleneckReport report = planted.report(pictures);
  CHECK(report.images == 400);
  CHECK(report.float_accuracy > 0.9);
  CHECK(report.accuracy < 0.5);
  CHECK(report.layers.size() == 3);
  CHECK(report.layers.front().name == kPlanted);
  CHECK(report.layers.front().flagged);
  CHECK(report.layers.front().suggested_bits == 5);
  CHECK(report.layers.front().relief.accuracy.mean > 0.3);
  CHECK(report.layers.front().share > 0.9);
  CHECK(report.layers.front().solo_drop > 0.3);
  for (std::size_t i = 1; i < report.layers.size(); ++i) CHECK_FALSE(report.layers[i].flagged);
  const auto ranking = [](const BottleneckReport& of) {
    std::vector<std::string> names;
    for (const LayerBottleneck& row : of.layers) names.push_back(row.name);
    return names;
  };
  Random random(5, "shuffled labels");
  int first = 0, same = 0;
  constexpr int kShuffles = 4;
  for (int shuffle = 0; shuffle < kShuffles; ++shuffle) {
    for (std::int64_t i = 399; i > 0; --i) {
      const auto j = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(i) + 1));
      const std::int64_t kept = pictures.labels[i].item<std::int64_t>();
      pictures.labels[i] = pictures.labels[j].item<std::int64_t>();
      pictures.labels[j] = kept;
    }
    const BottleneckReport shuffled = planted.report(pictures);
    for (const LayerBottleneck& row : shuffled.layers) CHECK_FALSE(row.flagged);
    first += shuffled.layers.front().name == kPlanted ? 1 : 0;
    same += ranking(shuffled) == ranking(report) ? 1 : 0;
  }
  CHECK(first == 0);  // less sure of itself, it costs less where labels are chance
  CHECK(same == 0);
}

TEST_CASE("experiments/bottlenecks: the first layer is the one whose promotion helps most, where a bit can help at all") {
  Planted planted(kMildOutlier);
  const BottleneckReport report = planted.report(toy_pictures(400, 2000));
  const LayerBottleneck& first = report.layers.front();
  CHECK(first.name == kPlanted);
  CHECK(report.best_promotion == kPlanted);
  CHECK(first.promotion.loss.low > 0);
  const json told = bottlenecks_json(report);
  CHECK(told["best_promotion"].get<std::string>() == kPlanted);
  CHECK(told["layers"][0]["promotion"]["loss"]["mean"].get<double>() == first.promotion.loss.mean);
  // The promotion of one layer is the first step of the order that begins with it.
  CHECK(report.promotions.front().points[1].second == doctest::Approx(report.accuracy + first.promotion.accuracy.mean));
}

TEST_CASE("experiments/bottlenecks: weights that spread because the loss wants it are flagged without a relief, neither sign of it alone is") {
  Planted planted(/*outlier=*/0);
  std::vector<GuidedLayer> left(planted.config.size());
  left[1] = {.distance = 0.05, .conflict = -0.3};  // more than 1/24, less than -0.2
  left[2] = {.distance = 0.05, .conflict = -0.1};
  left[3] = {.distance = 0.04, .conflict = -0.3};
  const BottleneckReport report = planted.report(toy_pictures(400, 2000), left);
  REQUIRE(report.layers.size() == 3);
  for (const LayerBottleneck& row : report.layers) {
    INFO(row.name);
    CHECK(row.relief.accuracy.mean < 0.005);  // so that the other rule flags none
    CHECK(row.flagged == (row.layer == 1));
    CHECK(row.suggested_bits == (row.layer == 1 ? 5 : 4));
  }
}

TEST_CASE("experiments/bottlenecks: values that are rounded too coarsely rank first among values") {
  Planted planted(/*outlier=*/0);
  const TrainingBatch pictures = toy_pictures(400, 2000);
  const BottleneckReport sound = planted.report(pictures);
  REQUIRE(sound.values.size() == 4);  // behind the stem and the three layers
  CHECK(sound.accuracy > 0.9);
  torch::NoGradGuard guard;
  named(planted.trained.get(), "path.u4.first.a4").add_(3.5);  // 33 times as coarse
  const BottleneckReport report = planted.report(pictures);
  CHECK(report.accuracy < 0.7);
  CHECK(report.values.front().name == "first");
  CHECK(report.values.front().relief.loss.low > 0);
  CHECK(report.values.front().relief.accuracy.mean > 0.2);
  CHECK(bottlenecks_json(report)["values"][0]["name"].get<std::string>() == "first");
}

TEST_CASE("experiments/bottlenecks: promotions start from all layers rounded; but for the advised ones they end where every layer has a bit more") {
  Planted planted;
  const BottleneckReport report = planted.report(toy_pictures(100, 2000));
  REQUIRE(report.promotions.size() == 5);
  CHECK(report.promotions[1].name == "by relief per byte");
  const std::int64_t weights = planted.network.weight_count(1) + planted.network.weight_count(2) + planted.network.weight_count(3);
  for (const PromotionLine& line : report.promotions) {
    CHECK(line.points.front().second == report.accuracy);
    if (line.name == "as advised") continue;
    REQUIRE(line.points.size() == 4);
    CHECK(line.points.back().first - line.points.front().first == weights / 8);
    CHECK(line.points.back().second == report.promotions[1].points.back().second);
  }
  // The bottleneck is the only flagged layer, and gains most for its bytes.
  REQUIRE(report.promotions.front().name == "as advised");
  REQUIRE(report.promotions.front().points.size() == 2);
  CHECK(report.promotions.front().points[1].first - report.promotions.front().points[0].first == planted.network.weight_count(2) / 8);
  CHECK(report.promotions[1].points[1] == report.promotions.front().points[1]);
  CHECK(reliefs_svg(report).find(kPlanted) != std::string::npos);
  CHECK(promotions_svg(report).find(">as advised<") != std::string::npos);
}

TEST_CASE("experiments/bottlenecks: where no layer is flagged nothing is advised, in the record and in the picture") {
  Planted planted(/*outlier=*/0);
  const BottleneckReport report = planted.report(toy_pictures(400, 2000));
  for (const LayerBottleneck& row : report.layers) REQUIRE_FALSE(row.flagged);
  const json told = bottlenecks_json(report);
  CHECK(told["promotions"][0]["order"].get<std::string>() == "as advised");
  CHECK(told["promotions"][0]["points"].size() == 1);
  CHECK(told["promotions"][1]["order"].get<std::string>() == "by relief per byte");
  CHECK(told["promotions"][1]["points"].size() == 4);
  CHECK(promotions_svg(report).find(">as advised: no layer<") != std::string::npos);
}

TEST_CASE("experiments/bottlenecks: the record says of every figure which weights it is of, and gives no noise where there is none") {
  Planted planted(/*outlier=*/0);
  std::vector<GuidedLayer> left(planted.config.size());
  left[1].sqnr_db = std::numeric_limits<double>::infinity();
  left[2].sqnr_db = 17.5;
  BottleneckReport report = planted.report(toy_pictures(100, 2000), left);
  report.before_pull_at = 0.2;
  const json told = bottlenecks_json(report);
  CHECK(told["before_pull_at"].get<double>() == 0.2);
  for (const json& layer : told["layers"]) {
    if (layer["name"] == "first") CHECK(layer["sqnr_db"].is_null());
    if (layer["name"] == kPlanted) CHECK(layer["sqnr_db"].get<double>() == 17.5);
  }
  std::map<std::string, int> said;
  for (const auto& [weights, fields] : told["weights_of"].items())
    for (const json& field : fields) ++said[field.get<std::string>()];
  std::set<std::string> figures;
  for (const auto& [key, value] : told["layers"][0].items()) figures.insert(key);
  for (const auto& [key, value] : told.items()) figures.insert(key);
  for (const char* fixed : {"name", "parameters", "macs", "bits", "bytes", "schema", "images", "layers", "weights_of", "before_pull_at"}) figures.erase(fixed);
  CHECK(said.size() == figures.size());
  for (const std::string& figure : figures) CHECK_MESSAGE(said[figure] == 1, figure);
}
