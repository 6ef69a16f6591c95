#include "runtime/commands/judge_loop.h"

#include <doctest/doctest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "runtime/commands/record.h"
#include "tests/support/random_policy_model.h"

using bitpilot::Frame;
using bitpilot::JudgeCounts;
using bitpilot::JudgedPicture;
using bitpilot::JudgeLoop;
using bitpilot::JudgeSettings;
using bitpilot::Region;
using bitpilot::Source;
using bitpilot::SourceEvent;
using bitpilot::Stop;

namespace {

const std::shared_ptr<const bitpilot::Model>& model() {
  static const auto made = std::make_shared<const bitpilot::Model>(bitpilot::testing::random_policy_model());
  return made;
}

/// Noise pictures; every fifth event tells of one that cannot be read.
class NoiseSource : public Source {
 public:
  NoiseSource(std::string name, int count, bool live = false) : name_(std::move(name)), count_(count), live_(live) {}
  SourceEvent next() override {
    SourceEvent event;
    if (next_ == count_) return event;
    const int index = next_++;
    if (index % 5 == 4) {
      event.kind = SourceEvent::Kind::kSkipped;
      event.text = "unreadable";
      return event;
    }
    bitpilot::Random random(7, name_, static_cast<std::uint64_t>(index));
    event.kind = SourceEvent::Kind::kFrame;
    event.frame.image = bitpilot::Image(20 + index % 9, 30, 1);
    for (auto& pixel : event.frame.image.pixels)
      pixel = static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(2 + index * 5 % 254)));
    event.frame.source = name_ + std::to_string(index);
    event.frame.captured = std::chrono::steady_clock::now();
    return event;
  }
  bool live() const override { return live_; }
  const std::string& name() const override { return name_; }

 private:
  std::string name_;
  int count_, next_ = 0;
  bool live_;
};

struct Heard : bitpilot::JudgeListener {
  void judged(const JudgedPicture& picture) override {
    pictures.push_back(picture);
    if (fail_at != 0 && pictures.size() == fail_at) throw std::runtime_error("disk full");
    if (stop_at != 0 && pictures.size() == stop_at) stop->request();
  }
  void message(const std::string& text) override { messages.push_back(text); }
  std::vector<JudgedPicture> pictures;
  std::vector<std::string> messages;
  std::size_t fail_at = 0, stop_at = 0;
  Stop* stop = nullptr;
};

struct Outcome {
  Heard heard;
  JudgeCounts counts;
  std::exception_ptr error;
};

Outcome judge_all(const JudgeSettings& settings, int count = 60, std::size_t fail_at = 0, std::size_t stop_at = 0) {
  Outcome outcome;
  Stop stop;
  outcome.heard.fail_at = fail_at;
  outcome.heard.stop_at = stop_at;
  outcome.heard.stop = &stop;
  std::vector<std::unique_ptr<Source>> sources;
  sources.push_back(std::make_unique<NoiseSource>("a", count));
  JudgeLoop loop(model(), sources, settings, outcome.heard, stop);
  outcome.error = loop.run();
  outcome.counts = loop.counts();
  return outcome;
}

void check_sum(const JudgeCounts& counts) {
  CHECK(counts.received == counts.processed + counts.queued + counts.dropped_queue + counts.dropped_decode +
                               counts.dropped_region + counts.dropped_frozen + counts.dropped_key_frame);
}

}  // namespace

TEST_CASE("commands/judge_loop: every picture is judged once, in order, and the counts add up") {
  const Outcome outcome = judge_all({});
  REQUIRE_FALSE(outcome.error);
  REQUIRE(outcome.heard.pictures.size() == 48);
  for (std::size_t i = 0; i < 48; ++i)
    CHECK(outcome.heard.pictures[i].frame.source == "a" + std::to_string(i / 4 * 5 + i % 4));
  CHECK(outcome.counts.dropped_decode == 12);
  CHECK(outcome.counts.received == 60);
  check_sum(outcome.counts);
}

TEST_CASE("commands/judge_loop: the number of threads changes no decision, under a budget neither") {
  for (const bool budgeted : {false, true}) {
    JudgeSettings settings;
    settings.lambda = 0.2;
    if (budgeted) settings.budget = 0.5;
    const Outcome one = judge_all(settings, 300);
    settings.threads = 4;
    const Outcome four = judge_all(settings, 300);
    REQUIRE(one.heard.pictures.size() == four.heard.pictures.size());
    bool lambda_moves = false;
    for (std::size_t i = 0; i < one.heard.pictures.size(); ++i) {
      const JudgedPicture &a = one.heard.pictures[i], &b = four.heard.pictures[i];
      REQUIRE(a.frame.source == b.frame.source);
      REQUIRE(a.lambda == b.lambda);
      REQUIRE(a.decision.scores == b.decision.scores);
      REQUIRE(a.decision.bops == b.decision.bops);
      lambda_moves = lambda_moves || a.lambda != one.heard.pictures.front().lambda;
    }
    CHECK(lambda_moves == budgeted);
  }
}

TEST_CASE("commands/judge_loop: a failure or a stop in the middle ends it, and every picture is accounted for") {
  for (const int threads : {1, 3}) {
    JudgeSettings settings;
    settings.threads = threads;
    const Outcome failed = judge_all(settings, 200, 10);
    CHECK(failed.error);
    CHECK(failed.heard.pictures.size() == 10);
    check_sum(failed.counts);
    const Outcome stopped = judge_all(settings, 200, 0, 10);
    CHECK_FALSE(stopped.error);
    CHECK(stopped.heard.pictures.size() >= 10);
    // Pictures that other workers had judged already are still told, at most a window of them.
    CHECK(stopped.heard.pictures.size() <= 10 + bitpilot::InOrder::kWindow);
    CHECK(stopped.counts.processed == stopped.heard.pictures.size());
    check_sum(stopped.counts);
    settings.max_frames = 7;
    CHECK(judge_all(settings, 200).heard.pictures.size() == 7);
  }
}

TEST_CASE("commands/judge_loop: a region is cut to each picture, and pictures outside of it are named and counted") {
  JudgeSettings settings;
  settings.region = Region{10, 22, 100, 100};
  const Outcome outcome = judge_all(settings, 40);
  CHECK(outcome.counts.dropped_region > 0);
  CHECK(outcome.counts.processed > 0);
  check_sum(outcome.counts);
  for (const JudgedPicture& picture : outcome.heard.pictures) {
    REQUIRE(picture.region);
    CHECK(picture.region->width == 20);
    CHECK(picture.region->height > 0);
  }
  CHECK_FALSE(bitpilot::inside({30, 0, 5, 5}, 30, 30));
  CHECK(bitpilot::inside({29, 29, 2000000000, 2000000000}, 30, 30) == Region{29, 29, 1, 1});
  CHECK_FALSE(bitpilot::inside({2000000000, 0, 2000000000, 5}, 30, 30));
}

TEST_CASE("commands/judge_loop: tiles of one picture come in order, whatever the threads, and it counts once") {
  JudgeSettings settings;
  settings.region = Region{2, 3, 20, 17};
  settings.tile = bitpilot::TileSize{9, 20};
  settings.budget = 0.5;
  const Outcome one = judge_all(settings, 40);
  settings.threads = 4;
  const Outcome four = judge_all(settings, 40);
  REQUIRE_FALSE(one.error);
  check_sum(one.counts);
  REQUIRE(one.heard.pictures.size() == 3 * one.counts.processed);
  REQUIRE(four.heard.pictures.size() == one.heard.pictures.size());
  for (std::size_t i = 0; i < one.heard.pictures.size(); ++i) {
    const JudgedPicture &a = one.heard.pictures[i], &b = four.heard.pictures[i];
    CHECK(a.part == i % 3);
    CHECK(a.parts == 3);
    CHECK(a.region->x == 2 + std::array{0, 9, 11}[i % 3]);
    CHECK(a.region->width == 9);
    CHECK(a.frame.source == one.heard.pictures[i - i % 3].frame.source);
    CHECK(a.decision.scores == b.decision.scores);
    CHECK(a.lambda == b.lambda);
  }
}

TEST_CASE("commands/judge_loop: a picture of too many tiles ends it as wrong usage") {
  JudgeSettings settings;
  settings.tile = bitpilot::TileSize{1, 1};
  static_assert(bitpilot::kMaxTiles == 4096);  // 30 x 30 pictures are fine
  CHECK_FALSE(judge_all(settings, 1).error);
  CHECK_THROWS_AS(bitpilot::tiles_of({0, 0, 4097, 1}, {1, 1}), bitpilot::Error);
  CHECK_THROWS_AS(bitpilot::tiles_of({0, 0, 65, 64}, {1, 1}), bitpilot::Error);
  CHECK_THROWS_AS(bitpilot::tiles_of({0, 0, 2000000000, 2000000000}, {1, 1}), bitpilot::Error);
}

TEST_CASE("commands/judge_loop: a region is judged like the picture of that part alone") {
  bitpilot::PictureJudge judge(model());
  NoiseSource source("b", 1);
  Frame frame = source.next().frame, part = frame;
  const Region region{3, 5, 11, 9};
  part.image = bitpilot::Image(9, 11, 1);
  for (int y = 0; y < 9; ++y)
    for (int x = 0; x < 11; ++x)
      part.image.pixels[static_cast<std::size_t>(y * 11 + x)] = frame.image.view().row(y + 5)[x + 3];
  const JudgedPicture of_region = judge.judge(frame, region, {});
  const JudgedPicture of_part = judge.judge(part, std::nullopt, {});
  CHECK(of_region.decision.scores == of_part.decision.scores);
  CHECK(of_region.statistics.values == of_part.statistics.values);
}

TEST_CASE("commands/record: a line says what was decided, and names with quotes, line ends and broken UTF-8 survive") {
  bitpilot::PictureJudge judge(model());
  NoiseSource source("c", 1);
  Frame frame = source.next().frame;
  frame.source = "a\"b\nc\xff\xe2\x80\xa8.png";
  const JudgedPicture judged = judge.judge(frame, Region{1, 2, 3, 4}, {std::nullopt, 0.25});
  const std::string line = bitpilot::DecisionLines(model()).line(judged, 17);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.starts_with("{\"schema\":\"bitpilot.decision/1\",\"sequence\":17,\"source\":"));
  const nlohmann::json json = nlohmann::json::parse(line);
  CHECK(json["region"] == nlohmann::json({1, 2, 3, 4}));
  CHECK(json["lambda"] == 0.25);
  CHECK(json["source"].get<std::string>().starts_with("a\"b\nc"));
  CHECK(json["layers"].size() == 6);
  CHECK(json["looks"].size() == judged.decision.looks.size());
  CHECK(json["looks"].back()["bits"].size() == 6);
  CHECK(json["looks"].back()["bits"][0][0] == json["layers"][0]["weight_bits"]);
  CHECK(json["prediction"]["label"] == model()->data().labels[static_cast<std::size_t>(judged.decision.label)]);
  CHECK(static_cast<float>(json["prediction"]["confidence"].get<double>()) == judged.decision.confidence);
  CHECK(json["quality"].contains("score"));
  CHECK(json["time"].get<std::string>().size() == 24);
}

TEST_CASE("commands/record: no score without a policy, no number that is not finite") {
  bitpilot::PictureJudge judge(model());
  NoiseSource source("d", 1);
  const bitpilot::DecisionRule fixed{bitpilot::uniform_config(model()->data().space, 2, 2), 0};
  JudgedPicture judged = judge.judge(source.next().frame, std::nullopt, fixed, /*features=*/true);
  judged.statistics.values[0] = std::numeric_limits<float>::quiet_NaN();
  const nlohmann::json json = nlohmann::json::parse(bitpilot::DecisionLines(model()).line(judged, 0));
  CHECK_FALSE(json["quality"].contains("score"));
  CHECK(json["quality"]["features"].size() == bitpilot::kStatisticsCount - 1);
  CHECK(json["layers"][0]["weight_distribution"]["std"] == 0);
  CHECK(json["fallback"].is_null());
  CHECK(json["region"].is_null());
}
