#include "runtime/commands/eval.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/commands/bits.h"
#include "runtime/commands/eval_tally.h"
#include "runtime/commands/judge_loop.h"
#include "runtime/commands/options.h"
#include "runtime/commands/profile_choice.h"
#include "runtime/commands/replay.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/kernels/kernels.h"
#include "runtime/sinks/progress.h"
#include "runtime/sources/set_source.h"

namespace bitpilot {

namespace {

struct EvalFlags {
  std::string model, profile, data, bits = "policy", budget, json, replay, mixture = "none", guard = "on";
  std::optional<double> lambda, fail_under;
  std::int64_t limit = 0, seed = 1, threads = 0;
  bool quiet = false;
};

Options eval_options(EvalFlags& flags) {
  Options options("eval", "accuracy and cost by family and severity");
  options.text("model", "FILE", flags.model, "model file (*.safetensors)").required();
  options.text("data", "DATA", flags.data,
               "labelled pictures: a folder (idx, cifar10, cifar100, one folder per class) or fashion-mnist");
  options.text("bits", "BITS", flags.bits, kBitsHelp);
  options.text("budget", "X", flags.budget,
               "mean relative cost, above 0 and up to 1, as the model's table has it from validation data");
  options.number("lambda", "X", flags.lambda, 0, 1e6,
                 "price of cost, instead of --budget; the model's own if neither is given");
  options.text("guard", "on|off", flags.guard, kGuardHelp);
  options.text("mixture", "NAME", flags.mixture,
               "degrade the pictures: test, seen, held-out, clean; none if not given (docs/cli.md)");
  options.integer("seed", "N", flags.seed, 0, std::int64_t{1} << 62, "of the mixture's draws; 1 if not given");
  options.integer("limit", "N", flags.limit, 1, std::int64_t{1} << 40, "only N pictures, spread evenly over the data");
  options.integer("threads", "N", flags.threads, 1, 64,
                  "pictures judged at one time; the number of cores if not given");
  options.text("json", "FILE", flags.json, "write the evaluation record here; - is standard output");
  options.number("fail-under", "ACCURACY", flags.fail_under, 0, 1, "end with exit code 5 below this accuracy");
  options.text(
      "replay", "FILE", flags.replay,
      "instead of --data: judge the pictures of this decisions file again, end with 5 if one comes out otherwise");
  options.text("profile", kProfileValue, flags.profile, kProfileHelp);
  options.flag("quiet", flags.quiet, "no progress");
  return options;
}

void check_flags(const Options& options, const EvalFlags& flags) {
  const auto refuse = [](const std::string& what, const std::string& fix) {
    throw Error(ExitCode::kUsage, what, "bitpilot eval", fix);
  };
  if (flags.data.empty() == flags.replay.empty())
    refuse("give one of --data and --replay", "see `bitpilot eval --help`");
  if (!flags.replay.empty()) {
    for (const char* name : {"guard", "budget", "lambda", "mixture", "seed", "limit", "json", "fail-under", "threads"}) {
      if (options.given(name))
        refuse("--" + std::string(name) + " means nothing with --replay", "leave it out: the records say all");
    }
  }
  const std::vector<std::string> mixtures{"test", "seen", "held-out", "clean", "none"};
  if (std::find(mixtures.begin(), mixtures.end(), flags.mixture) == mixtures.end()) {
    const std::string like = nearest_name(flags.mixture, mixtures);
    refuse("unknown mixture \"" + flags.mixture + "\"",
           like.empty() ? "give test, seen, held-out, clean or none" : "did you mean " + like + "?");
  }
  if (!flags.budget.empty() && flags.lambda) refuse("--budget and --lambda exclude each other", "give one of them");
  if (flags.bits != "policy" && (!flags.budget.empty() || flags.lambda)) {
    refuse("--bits " + flags.bits + " leaves nothing to choose for a budget", "leave one of them out");
  }
}

/// A result that has nowhere to go is told before the work, not after it.
void check_writable(const std::string& path) {
  if (path.empty() || path == "-") return;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const std::string place = folder.empty() ? "." : folder.string();
  std::error_code none;
  const bool there = std::filesystem::is_directory(place, none) && access(place.c_str(), W_OK) == 0;
  if (there && !std::filesystem::is_directory(path, none)) return;
  throw Error(ExitCode::kMachine, "cannot write the record there", path,
              "name a file in a folder that exists and may be written");
}

class TallyListener : public JudgeListener {
 public:
  TallyListener(EvalTally& tally, Progress& progress) : tally_(tally), progress_(progress) {}
  void judged(const JudgedPicture& picture) override {
    tally_.add(picture);
    progress_.update(tally_.images());
  }
  void message(const std::string& text) override { progress_.say(text); }

 private:
  EvalTally& tally_;
  Progress& progress_;
};

nlohmann::ordered_json head_of_record(const Model& model, const EvalFlags& flags, const JudgeSettings& settings,
                                      const SetInfo& set, const JudgeCounts& counts) {
  nlohmann::ordered_json json;
  json["schema"] = "bitpilot.eval/1";
  json["model"] = model.hash();
  json["isa"] = model.kernels().name;
  json["threads"] = settings.threads;
  json["data"] = {{"name", set.name},           {"hash", set.hash},
                  {"images", counts.processed}, {"unreadable", counts.dropped_decode},
                  {"mixture", set.mixture},     {"draw", flags.mixture},
                  {"seed", flags.seed}};
  const bool uniform = settings.fixed && flags.bits.find_first_not_of("0123456789/") == std::string::npos;
  const bool learned = !settings.fixed && PolicyHead::has_policy(model.data());
  json["policy"] = learned ? "policy" : uniform ? "uniform" : "static";
  if (learned) json["lambda"] = settings.lambda;
  if (learned) json["guard"] = settings.guard;
  if (settings.budget) json["budget"] = *settings.budget;  // of the reference's time where it was asked for in milliseconds
  return json;
}

/// The result for people.
std::string in_words(const nlohmann::ordered_json& record, const EvalTally& tally) {
  char text[256];
  std::snprintf(text, sizeof text,
                "%llu pictures: accuracy %.2f %% (95 %%: %.2f to %.2f), relative cost %.4f, %.3f ms each\n",
                static_cast<unsigned long long>(tally.images()), 100 * tally.accuracy(),
                100 * record["accuracy_ci95"][0].get<double>(), 100 * record["accuracy_ci95"][1].get<double>(),
                tally.mean_relative(), tally.mean_ms());
  std::string all = text;
  for (const auto& config : record["configs"]) {
    std::snprintf(text, sizeof text, "  %5.1f %%  %s\n", 100 * config["share"].get<double>(),
                  config["config"].get<std::string>().substr(0, 200).c_str());
    all += text;
  }
  return all;
}

int replay_decisions(const EvalFlags& flags, std::shared_ptr<const Model> model, const std::optional<BitConfig>& fixed,
                     Stop& stop) {
  const ReplayResult result = replay(flags.replay, std::move(model), fixed, flags.quiet, stop);
  if (const int signal = SignalStop::received(); signal != 0) return 128 + signal;
  std::printf("%llu decisions judged again, %llu different, %llu of live sources, %llu unreadable\n",
              static_cast<unsigned long long>(result.compared), static_cast<unsigned long long>(result.different),
              static_cast<unsigned long long>(result.live), static_cast<unsigned long long>(result.unread));
  if (result.different > 0) {
    throw Error(ExitCode::kCheck, std::to_string(result.different) + " decisions came out otherwise",
                result.first_difference, "give the --bits of the run; the pictures must be the same files");
  }
  if (result.compared == 0) {
    throw Error(ExitCode::kData, "no picture of this file could be judged again", flags.replay,
                "start it in the folder where the run was started");
  }
  return 0;
}

}  // namespace

std::vector<int> match_classes(const std::vector<std::string>& set, const std::vector<std::string>& model) {
  std::vector<int> classes;
  const bool numbers = std::all_of(set.begin(), set.end(), [](const std::string& name) {
    return !name.empty() && name.size() < 6 && name.find_first_not_of("0123456789") == std::string::npos;
  });
  for (const std::string& name : set) {
    const auto found = std::find(model.begin(), model.end(), name);
    int index = found == model.end() ? -1 : static_cast<int>(found - model.begin());
    if (index < 0 && numbers) index = std::stoi(name);
    if (index < 0 || static_cast<std::size_t>(index) >= model.size()) {
      throw Error(ExitCode::kData,
                  "the data's class \"" + name + "\" is none of the model's " + std::to_string(model.size()), "--data",
                  "name the classes' folders as `bitpilot inspect` lists the model's, or by number from 0");
    }
    classes.push_back(index);
  }
  return classes;
}

int run_eval(const std::vector<std::string>& args) {
  EvalFlags flags;
  Options options = eval_options(flags);
  if (!options.parse(args)) return 0;
  check_flags(options, flags);
  const std::shared_ptr<const Model> model = load_model(flags.model, flags.profile, "eval", flags.quiet);
  JudgeSettings settings;
  settings.fixed = read_bits(flags.bits, model->data());
  settings.lambda = flags.lambda.value_or(model->data().default_lambda);
  settings.guard = read_guard(flags.guard);
  if (!flags.budget.empty()) {
    settings.budget = read_budget(flags.budget, model->data());
    settings.steady = true;
    settings.lambda = lambda_for(budget_table(model->data(), settings.guard), *settings.budget);  // as the record tells it
  }
  if (!settings.fixed && flags.replay.empty()) warn_of_prices(*model, flags.budget, settings.guard);
  settings.threads =
      static_cast<int>(flags.threads > 0 ? flags.threads : std::max(1U, std::thread::hardware_concurrency()));
  check_writable(flags.json);
  Stop stop;
  const SignalStop signals(stop);
  if (!flags.replay.empty()) return replay_decisions(flags, model, settings.fixed, stop);

  std::vector<std::unique_ptr<Source>> sources;
  const SetRequest request{flags.data, flags.mixture, static_cast<std::uint64_t>(flags.seed),
                           static_cast<std::uint64_t>(flags.limit)};
  sources.push_back(std::make_unique<SetSource>(request, SourceOptions{}, stop));
  auto& set = static_cast<SetSource&>(*sources.front());
  const SetInfo info = set.info();
  EvalTally tally(model->data(), match_classes(info.labels, model->data().labels));
  Progress progress("eval", info.count, Progress::style(flags.quiet));
  TallyListener listener(tally, progress);
  JudgeLoop loop(model, sources, settings, listener, stop);
  if (const std::exception_ptr error = loop.run()) std::rethrow_exception(error);
  progress.finish();
  if (const int signal = SignalStop::received(); signal != 0) return 128 + signal;
  if (tally.images() == 0)
    throw Error(ExitCode::kData, "no picture could be read", flags.data, "check the files named above");

  nlohmann::ordered_json record = head_of_record(*model, flags, settings, info, loop.counts());
  record.update(tally.record());
  const std::string text = record.dump(2) + "\n";
  if (flags.json == "-") {
    std::fputs(text.c_str(), stdout);
  } else {
    if (!flags.json.empty()) write_file_atomically(flags.json, text);
    std::fputs(in_words(record, tally).c_str(), stdout);
  }
  if (flags.fail_under && tally.accuracy() < *flags.fail_under) {
    char said[96];
    std::snprintf(said, sizeof said, "accuracy %.4f is below %.4f", tally.accuracy(), *flags.fail_under);
    throw Error(ExitCode::kCheck, said, flags.data, "train longer, or ask for less");
  }
  return 0;
}

}  // namespace bitpilot
