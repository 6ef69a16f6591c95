#include "runtime/commands/run.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "runtime/commands/bits.h"
#include "runtime/commands/judge_loop.h"
#include "runtime/commands/options.h"
#include "runtime/commands/profile_choice.h"
#include "runtime/commands/record.h"
#include "runtime/core/error.h"
#include "runtime/sinks/json_lines.h"
#include "runtime/sinks/progress.h"

namespace bitpilot {

namespace {

constexpr std::chrono::minutes kTellInterval{1};

struct RunFlags {
  std::string model, profile, decisions = "-", budget, roi, tile, bits = "policy", guard = "on";
  std::vector<std::string> sources;
  std::optional<double> lambda;
  std::int64_t max_frames = 0, threads = 0, reconnect_attempts = -1;
  bool append = false, quiet = false;
};

Options run_options(RunFlags& flags) {
  Options options("run", "adaptive inference over pictures, videos and cameras");
  options.text("model", "FILE", flags.model, "model file (*.safetensors)").required();
  options
      .list("source", "SOURCE", flags.sources,
            "folder (with subfolders, in name order), picture, video file, camera (number or device), rtsp:// or "
            "http:// (MJPEG) address")
      .required();
  options.text("decisions", "FILE", flags.decisions,
               "where the decision records go, one JSON line a picture; - (standard output) if not given");
  options.flag("append", flags.append, "go on behind the records that FILE holds instead of starting it anew");
  options.text("budget", "X", flags.budget, "mean relative cost to hold, above 0 and up to 1 (uniform 8 bits)");
  options.number("lambda", "X", flags.lambda, 0, 1e6,
                 "price of cost, instead of --budget; the model's own if neither is given");
  options.text("bits", "BITS", flags.bits, kBitsHelp);
  options.text("guard", "on|off", flags.guard, kGuardHelp);
  options.text("profile", kProfileValue, flags.profile, kProfileHelp);
  options.integer("max-frames", "N", flags.max_frames, 1, std::int64_t{1} << 60, "stop after N pictures");
  options.integer("threads", "N", flags.threads, 1, 64,
                  "pictures judged at one time; one for each source, up to the cores, if not given");
  options.text("roi", "X,Y,W,H", flags.roi, "judge this part of every picture only, in pixels");
  options.text("tile", "W,H", flags.tile,
               "cut every picture, or its --roi, into tiles of W x H pixels and judge each: one record a tile");
  options.integer("reconnect-attempts", "N", flags.reconnect_attempts, 0, 1'000'000,
                  "give a live source up after N failures in a row; it is tried for ever if not given");
  options.flag("quiet", flags.quiet, "no progress and no summary on standard error; messages stay");
  options.remark(
      "Folders and files are read whole.  Only live sources drop frames (the newest one waits) and come back when they "
      "are lost.");
  return options;
}

JudgeSettings read_settings(const RunFlags& flags, const ModelData& model) {
  JudgeSettings settings;
  settings.fixed = read_bits(flags.bits, model);
  if (!flags.budget.empty() && flags.lambda) {
    throw Error(ExitCode::kUsage, "--budget and --lambda exclude each other", "bitpilot run", "give one of them");
  }
  if (settings.fixed && (!flags.budget.empty() || flags.lambda)) {
    throw Error(ExitCode::kUsage, "--bits " + flags.bits + " leaves nothing to choose for a budget", "bitpilot run",
                "leave one of them out");
  }
  settings.lambda = flags.lambda.value_or(model.default_lambda);
  settings.guard = settings.features = read_guard(flags.guard);
  if (!flags.budget.empty()) settings.budget = read_budget(flags.budget, model);
  settings.region = read_region(flags.roi);
  settings.tile = read_tile(flags.tile);
  settings.max_frames = static_cast<std::uint64_t>(flags.max_frames);
  const auto cores = static_cast<std::int64_t>(std::max(1U, std::thread::hardware_concurrency()));
  settings.threads = static_cast<int>(
      flags.threads > 0 ? flags.threads : std::min(cores, static_cast<std::int64_t>(flags.sources.size())));
  return settings;
}

/// Pictures in all, 0 if nobody knows.
std::uint64_t total_of(const std::vector<std::unique_ptr<Source>>& sources, std::uint64_t max_frames) {
  std::uint64_t total = 0;
  for (const auto& source : sources) {
    if (source->size() == 0) return max_frames;
    total += source->size();
  }
  return max_frames == 0 ? total : std::min(total, max_frames);
}

/// Writes the records of a run.
class Recorder : public JudgeListener {
 public:
  Recorder(std::shared_ptr<const Model> model, const std::vector<std::unique_ptr<Source>>& sources, JsonLines& lines,
           Progress& progress)
      : records_(std::move(model)), sources_(sources), lines_(lines), progress_(progress) {}

  void judged(const JudgedPicture& picture) override {
    const std::string line = records_.line(picture, sequence_++);
    relative_ += picture.decision.relative;
    total_ms_ += picture.total_ms;
    try {
      lines_.write(line);
    } catch (const Error& error) {
      if (!sources_[picture.source]->live()) {
        --sequence_;
        throw;
      }
      lost_record(error);  // what a camera sees now cannot be seen again
    }
    pictures_ += picture.part + 1 == picture.parts;
    progress_.update(pictures_);
  }
  void message(const std::string& text) override { progress_.say(text); }

  std::uint64_t output_errors() const { return output_errors_; }
  std::uint64_t records() const { return sequence_; }
  std::string means() const {
    if (sequence_ == 0) return "";
    char text[96];
    const auto count = static_cast<double>(sequence_);
    std::snprintf(text, sizeof text, ", mean relative cost %.3f, %.3f ms each", relative_ / count, total_ms_ / count);
    return text;
  }

 private:
  void lost_record(const Error& error) {
    ++output_errors_;
    const auto now = std::chrono::steady_clock::now();
    if (output_errors_ > 1 && now - told_ < kTellInterval) return;
    told_ = now;
    progress_.say("records are lost (" + std::to_string(output_errors_) + " so far): " + error.what());
  }

  const DecisionLines records_;
  const std::vector<std::unique_ptr<Source>>& sources_;
  JsonLines& lines_;
  Progress& progress_;
  std::uint64_t sequence_ = 0, pictures_ = 0, output_errors_ = 0;
  double relative_ = 0, total_ms_ = 0;
  std::chrono::steady_clock::time_point told_;
};

/// "100 judged, 2 unreadable, …".
std::string in_words(const JudgeCounts& counts) {
  std::string text = std::to_string(counts.processed) + " judged";
  const auto add = [&](std::uint64_t count, const char* what) {
    if (count > 0) text += ", " + std::to_string(count) + " " + what;
  };
  add(counts.dropped_decode, "unreadable");
  add(counts.dropped_queue, "dropped");
  add(counts.dropped_region, "outside of the region");
  add(counts.dropped_frozen, "of a frozen camera");
  add(counts.dropped_key_frame, "before a key frame");
  add(counts.queued, "left waiting");
  return text;
}

/// Exit code and, if it is one of them, error of a run that came to its end.
int conclude(const JudgeLoop& loop, const JudgeCounts& counts) {
  if (const int signal = SignalStop::received(); signal != 0) return 128 + signal;
  if (!loop.failures().empty()) {
    std::string all;
    for (const std::string& failure : loop.failures()) all += (all.empty() ? "" : "; ") + failure;
    const bool machine = loop.failure_code() == ExitCode::kMachine;
    throw Error(loop.failure_code(), machine ? "a source was lost" : "a source cannot be read", all,
                machine ? "check the camera and the network" : "name a picture, a video or a folder");
  }
  if (counts.processed == 0) {
    throw Error(ExitCode::kData, "no picture was judged: " + in_words(counts), "bitpilot run",
                "check the files named above");
  }
  return 0;
}

}  // namespace

int run_run(const std::vector<std::string>& args) {
  RunFlags flags;
  Options options = run_options(flags);
  if (!options.parse(args)) return 0;
  const std::shared_ptr<const Model> model = load_model(flags.model, flags.profile, "run", flags.quiet);
  const JudgeSettings settings = read_settings(flags, model->data());
  if (!settings.fixed) warn_of_prices(*model, flags.budget, settings.guard);
  Stop stop;
  const SignalStop signals(stop);
  SourceOptions source_options;
  source_options.reconnect_attempts = flags.reconnect_attempts;
  std::vector<std::unique_ptr<Source>> sources;
  for (const std::string& source : flags.sources)
    sources.push_back(open_source(parse_source(source), source_options, stop));

  JsonLines lines(flags.decisions, flags.append);
  // Records on a terminal and a bar would overwrite each other.
  const bool to_terminal = flags.decisions == "-" && isatty(STDOUT_FILENO) == 1;
  Progress progress("run", total_of(sources, settings.max_frames), Progress::style(flags.quiet || to_terminal));
  Recorder recorder(model, sources, lines, progress);
  JudgeLoop loop(model, sources, settings, recorder, stop);
  const std::exception_ptr error = loop.run();
  const JudgeCounts counts = loop.counts();
  const bool live = std::any_of(sources.begin(), sources.end(), [](const auto& source) { return source->live(); });
  try {
    lines.write(summary_line(counts, recorder.records(), recorder.output_errors()));
  } catch (const Error&) {
    if (!error && !live) throw;
  }
  progress.finish(in_words(counts) + recorder.means());
  if (error) std::rethrow_exception(error);
  return conclude(loop, counts);
}

}  // namespace bitpilot
