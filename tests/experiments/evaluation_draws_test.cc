// A training's own judge and `bitpilot eval` meet the same pictures: the same draws, the same codes, the same scores.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "data/codecs/decode.h"
#include "experiments/training_data.h"
#include "runtime/commands/picture_judge.h"
#include "runtime/sources/set_source.h"
#include "tests/data/pictures.h"
#include "tests/policy/synthetic_outcomes.h"
#include "tests/support/temporary_folder.h"

using namespace bitpilot;
using bitpilot::testing::TemporaryFolder;

namespace {

constexpr std::size_t kAnchor = 1;

/// One folder per class of the model, `each` colour pictures in it: all larger than the network's input, some beyond the small
/// pictures' column of the mixture.
void write_classes(const TemporaryFolder& folder, const std::string& below, const ModelData& model, int each) {
  for (std::size_t c = 0; c < model.labels.size(); ++c) {
    for (int i = 0; i < each; ++i) {
      const int size = i % 2 == 0 ? 40 : 70;
      folder.write(below + model.labels[c] + "/" + std::to_string(i) + ".png",
                   encode_png(bitpilot::testing::made_up_picture(size, size + 9, 3, 100 * c + static_cast<std::size_t>(i))));
    }
  }
}

struct Judged {
  Frame frame;
  std::vector<std::uint8_t> codes;
  Decision decision;
};

/// What `bitpilot eval --bits ANCHOR --mixture MIXTURE` does with every picture, by its name.
std::map<std::string, Judged> by_eval(const std::string& data, const std::string& mixture, const std::shared_ptr<const Model>& model) {
  Stop stop;
  SourceOptions options;
  options.media_program = std::string(BITPILOT_BIN_DIR) + "/bitpilot-media";
  SetSource source({data, mixture, /*seed=*/1, /*limit=*/0}, options, stop);
  PictureJudge judge(model);
  const ModelData& of_model = model->data();
  const DecisionRule rule{.fixed = of_model.anchors[kAnchor].config};
  std::map<std::string, Judged> judged;
  for (SourceEvent event = source.next(); event.kind != SourceEvent::Kind::kEnd; event = source.next()) {
    REQUIRE(event.kind == SourceEvent::Kind::kFrame);
    const std::string name = event.frame.source;
    judged[name].codes = preprocess(event.frame.image.view(), of_model.network.input_shape(), of_model.preprocessing.stretch).codes;
    judged[name].decision = judge.judge(event.frame, std::nullopt, rule).decision;
    judged[name].frame = std::move(event.frame);
  }
  return judged;
}

/// Checks that every picture of the set is to eval what it is to a training; returns how many of them are degraded.
int check_same(const ImageSet& set, EvaluationSet which, const std::map<std::string, Judged>& judged, const std::shared_ptr<const Model>& model) {
  const ModelData& data = model->data();
  const std::vector<Sample> samples =
      evaluation_samples(set, which, standard_mixture(), data.network.input_shape(), data.preprocessing.stretch);
  const OutcomeTable table = roll_out(model, samples.size(), [&](std::size_t i) { return samples[i]; }, 1);
  int degraded = 0, right = 0, right_by_eval = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    INFO(set.source(i));
    REQUIRE(judged.contains(set.source(i)));
    const Judged& other = judged.at(set.source(i));
    CHECK(other.frame.family == samples[i].family);
    CHECK(other.frame.severity == samples[i].severity);
    CHECK(other.frame.label == samples[i].label);
    CHECK(other.codes == samples[i].prepared.codes);
    CHECK(std::ranges::equal(other.decision.scores, table.scores_of(i, kAnchor)));
    degraded += samples[i].severity > 0 ? 1 : 0;
    right += table.correct(i, kAnchor) ? 1 : 0;
    right_by_eval += other.decision.label == other.frame.label ? 1 : 0;
  }
  CHECK(right == right_by_eval);
  return degraded;
}

}  // namespace

TEST_CASE("experiments/evaluation_draws: a training judges the same degraded copies of an image folder as eval") {
  const auto model = std::make_shared<const Model>(bitpilot::testing::synthetic_model());
  const TemporaryFolder folder;
  write_classes(folder, "parts/train/", model->data(), 6);
  write_classes(folder, "parts/test/", model->data(), 8);
  const std::string data = folder.path("parts");
  const DataSplits splits = open_splits(data, decode_file);
  const auto all = first_images(splits.test, 0), some = first_images(splits.test, 12);
  REQUIRE(all->source(0) != splits.test->source(0));  // in another order, as its classes stand one behind the other
  const std::vector<std::pair<EvaluationSet, std::string>> sets{
      {EvaluationSet::kSeen, "seen"}, {EvaluationSet::kHeldOut, "held-out"}, {EvaluationSet::kClean, "clean"}};
  for (const auto& [which, mixture] : sets) {
    INFO(mixture);
    const std::map<std::string, Judged> judged = by_eval(data, mixture, model);
    CHECK(judged.size() == all->size());
    const int degraded = check_same(*all, which, judged, model);
    CHECK((which == EvaluationSet::kClean ? degraded == 0 : degraded > 15));
    check_same(*some, which, judged, model);
  }
}

TEST_CASE("experiments/evaluation_draws: the test pictures of a folder without a test part meet the copies that eval makes of the whole folder") {
  const auto model = std::make_shared<const Model>(bitpilot::testing::synthetic_model());
  const TemporaryFolder folder;
  write_classes(folder, "whole/", model->data(), 30);
  const std::string data = folder.path("whole");
  const DataSplits splits = open_splits(data, decode_file);
  const std::map<std::string, Judged> judged = by_eval(data, "seen", model);
  CHECK(judged.size() == 150);
  REQUIRE(splits.test->size() == 15);
  CHECK(check_same(*first_images(splits.test, 0), EvaluationSet::kSeen, judged, model) > 5);
}
