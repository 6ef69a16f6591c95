#include "runtime/commands/replay.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <vector>

#include "runtime/commands/bits.h"
#include "runtime/commands/picture_judge.h"
#include "runtime/core/error.h"
#include "runtime/core/json.h"
#include "runtime/sinks/progress.h"
#include "runtime/sources/picture_source.h"

namespace bitpilot {

namespace {

/// What a decision record says that must come out again.
struct Recorded {
  std::string source;
  std::optional<Region> region;
  double lambda = 0;
  bool guard = true;
  std::vector<BitConfig> looks;
  int index = 0;
  double confidence = 0;
};

Recorded read_record(const JsonReader& said, const Model& model) {
  Recorded record;
  record.source = said.at("source").text();
  const std::string hash = said.at("model").text();
  if (hash != model.hash()) {
    throw Error(ExitCode::kData, "these decisions were made by another model (" + hash.substr(0, 20) + "…)",
                said.where(), "name that model with --model");
  }
  record.lambda = said.at("lambda").number(0, 1e6);
  record.guard = said.boolean("guard", true);
  if (!said.at("region").value().is_null()) {
    const JsonReader region = said.at("region");
    const auto number = [&](std::size_t i, std::int64_t lowest) {
      return static_cast<int>(region.at(i).integer(lowest, 1 << 30));
    };
    record.region = Region{number(0, 0), number(1, 0), number(2, 1), number(3, 1)};
  }
  for (std::size_t i = 0; i < said.at("looks").size(); ++i) {
    const JsonReader look = said.at("looks").at(i);
    record.looks.push_back(parse_config(look.at("bits").value().dump(), look.where(), model.data()));
  }
  record.index = static_cast<int>(said.at("prediction").at("index").integer(0, 65535));
  record.confidence = said.at("prediction").at("confidence").number(0, 1);
  return record;
}

/// The decision records of a file; a torn last line is passed over.
std::vector<Recorded> read_records(const std::string& path, const Model& model) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw Error(ExitCode::kData, "no such decisions file", path, "name a file that `bitpilot run --decisions` wrote");
  std::vector<Recorded> records;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    if (file.eof()) break;  // no line end: torn
    const std::string where = path + ", line " + std::to_string(number);
    const nlohmann::json json = parse_json(line, where);
    const JsonReader said(json, where);
    const std::string schema = said.at("schema").text();
    if (schema == "bitpilot.decision/1") records.push_back(read_record(said, model));
  }
  if (records.empty())
    throw Error(ExitCode::kData, "no decision in this file", path, "name a file that `bitpilot run --decisions` wrote");
  return records;
}

/// Why a decision differs from its record, "" if it does not.
std::string difference(const Recorded& record, const Decision& decision) {
  if (decision.label != record.index)
    return "class " + std::to_string(decision.label) + " instead of " + std::to_string(record.index);
  bool same = decision.looks.size() == record.looks.size();
  for (std::size_t i = 0; same && i < record.looks.size(); ++i) same = decision.looks[i].bits == record.looks[i];
  if (!same) return "other bit-widths";
  if (decision.confidence != static_cast<float>(record.confidence)) return "another confidence";
  return "";
}

/// The records of one picture: one, or one for each of its tiles.
using Shot = std::vector<const Recorded*>;

/// A picture's tiles stand one behind the other and differ; the next picture begins where a region comes again.
void add_to_shots(std::vector<Shot>& shots, const Recorded& record, bool may_join) {
  const bool joins = may_join && !shots.empty() && record.region && shots.back().front()->source == record.source &&
                     std::none_of(shots.back().begin(), shots.back().end(),
                                  [&](const Recorded* tile) { return !tile->region || tile->region == record.region; });
  if (joins)
    shots.back().push_back(&record);
  else
    shots.push_back({&record});
}

/// Judges the frames of one source against its records, in order.
class Replayer {
 public:
  Replayer(std::shared_ptr<const Model> model, const std::optional<BitConfig>& fixed, Progress& progress, Stop& stop)
      : judge_(std::move(model)), fixed_(fixed), progress_(progress), stop_(stop) {}

  void play(Source& source, const std::vector<Shot>& shots) {
    std::size_t next = 0;
    while (next < shots.size() && !stop_.requested()) {
      const SourceEvent event = source.next();
      if (event.kind == SourceEvent::Kind::kFrame) {
        for (const Recorded* record : shots[next]) compare(*record, event.frame);
        ++next;
      } else if (event.kind == SourceEvent::Kind::kSkipped) {
        progress_.say("skipped: " + event.text);
        result.unread += shots[next++].size();
      } else if (event.kind != SourceEvent::Kind::kNotice) {
        for (; next < shots.size() && !stop_.requested(); ++next) result.unread += shots[next].size();
        return;
      }
    }
  }

  ReplayResult result;

 private:
  void compare(const Recorded& record, const Frame& frame) {
    ++result.compared;
    const int width = frame.image.width, height = frame.image.height;
    std::string why;
    if (record.region && inside(*record.region, width, height) != record.region) {
      why = "the picture is smaller than the recorded region";
    } else {
      why = difference(record, judge_.judge(frame, record.region, {fixed_, record.lambda, record.guard}).decision);
    }
    if (!why.empty() && result.different++ == 0) result.first_difference = record.source + ": " + why;
    progress_.update(result.compared);
  }

  PictureJudge judge_;
  std::optional<BitConfig> fixed_;
  Progress& progress_;
  Stop& stop_;
};

}  // namespace

ReplayResult replay(const std::string& path, std::shared_ptr<const Model> model, const std::optional<BitConfig>& fixed,
                    bool quiet, Stop& stop) {
  const std::vector<Recorded> records = read_records(path, *model);
  Progress progress("replay", records.size(), Progress::style(quiet));
  Replayer replayer(model, fixed, progress, stop);
  std::vector<Shot> pictures;
  std::map<std::string, std::vector<Shot>> videos;
  const Recorded* before = nullptr;
  std::map<std::string, SourceKind> kinds;
  for (const Recorded& record : records) {
    auto kind = kinds.find(record.source);
    if (kind == kinds.end()) {
      SourceKind found = SourceKind::kPictures;  // also where it is gone: then it cannot be read
      try {
        found = parse_source(record.source).kind;
      } catch (const Error&) {
      }
      kind = kinds.emplace(record.source, found).first;
    }
    if (kind->second == SourceKind::kPictures) {
      add_to_shots(pictures, record, before != nullptr && before->source == record.source);
    } else if (kind->second == SourceKind::kVideo) {
      add_to_shots(videos[record.source], record, before != nullptr && before->source == record.source);
    } else {
      ++replayer.result.live;
    }
    before = &record;
  }
  std::vector<std::string> paths;
  for (const Shot& shot : pictures) paths.push_back(shot.front()->source);
  PictureSource source({SourceKind::kPictures, path, path}, paths, {}, stop);
  replayer.play(source, pictures);
  for (const auto& [video, of_video] : videos) replayer.play(*open_source(parse_source(video), {}, stop), of_video);
  progress.finish();
  return replayer.result;
}

}  // namespace bitpilot
