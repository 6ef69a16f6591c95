#include "runtime/media/degrade_command.h"

#include <algorithm>
#include <cstdio>
#include <thread>

#include "data/codecs/decode.h"
#include "data/codecs/degraded_set.h"
#include "data/codecs/preview_sheet.h"
#include "data/degrade.h"
#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/sinks/progress.h"
#include "runtime/sources/stop.h"

namespace bitpilot {
namespace {

struct Wishes {
  std::string data, out, preview, families, severities = "1-5", split;
  std::int64_t copies = 1, seed = 0, count = 0, threads = 0;
  bool png = false, mixture = false, held_out = false, quiet = false;
};

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> items;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    items.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return items;
}

/// Names, groups ("seen", "held-out", "all") and "clean", each family once.
std::vector<std::string> read_families(const std::string& text) {
  const Mixture& mixture = standard_mixture();
  const std::vector<std::string>& known = degradation_families();
  std::vector<std::string> families;
  const auto add = [&](const std::vector<std::string>& more) {
    for (const std::string& family : more)
      if (std::find(families.begin(), families.end(), family) == families.end()) families.push_back(family);
  };
  for (const std::string& item : split_list(text)) {
    if (item == "seen") {
      add(mixture.seen);
    } else if (item == "held-out") {
      add(mixture.held_out);
    } else if (item == "all") {
      add(known);
    } else if (item == "clean" || std::find(known.begin(), known.end(), item) != known.end()) {
      add({item});
    } else {
      const std::string nearest = nearest_name(item, known);
      throw Error(ExitCode::kUsage, "unknown degradation family '" + item + "'", "--families",
                  nearest.empty() ? "bitpilot degrade --help lists them" : "did you mean '" + nearest + "'?");
    }
  }
  return families;
}

/// "1-5", "3", "1,3,5".
std::vector<int> read_severities(const std::string& text) {
  std::vector<int> severities;
  for (const std::string& item : split_list(text)) {
    const bool one = item.size() == 1, range = item.size() == 3 && item[1] == '-';
    const int first = one || range ? item[0] - '0' : 0, last = range ? item[2] - '0' : first;
    if (first < 1 || last > 5 || first > last)
      throw Error(ExitCode::kUsage, "no severities: '" + item + "'", "--severities",
                  "give numbers from 1 to 5, such as 1-5 or 1,3,5");
    for (int severity = first; severity <= last; ++severity)
      if (std::find(severities.begin(), severities.end(), severity) == severities.end()) severities.push_back(severity);
  }
  return severities;
}

std::shared_ptr<const ImageSet> open_set(const Wishes& wishes) {
  if (wishes.split.empty()) return open_evaluation_set(wishes.data, decode_file);
  const DataSplits splits = open_splits(wishes.data, decode_file);
  if (wishes.split == "train") return splits.train;
  if (wishes.split == "policy") return splits.policy;
  if (wishes.split == "validation") return splits.validation;
  if (wishes.split == "test") return splits.test;
  const std::string nearest = nearest_name(wishes.split, {"train", "policy", "validation", "test"});
  throw Error(ExitCode::kUsage, "unknown split '" + wishes.split + "'", "--split",
              nearest.empty() ? "give train, policy, validation or test" : "did you mean '" + nearest + "'?");
}

std::string families_remark() {
  std::string text = "Families:";
  for (const std::string& family : degradation_families()) text += " " + family;
  return text +
         ". The twelve of the standard mixture (seen, held-out) are the default; all: every family that applies.";
}

bool read_wishes(const std::vector<std::string>& args, Wishes& wishes) {
  Options options("degrade", "degraded copies of a labelled set with a manifest, or a preview sheet");
  options.text("data", "FOLDER", wishes.data, "pictures with labels: an idx, CIFAR or image folder, or fashion-mnist")
      .required();
  options.text("out", "FOLDER", wishes.out,
               "where the degraded set is written; an earlier degraded set there is replaced");
  options.text("preview", "FILE.png", wishes.preview, "draw one picture under every family and severity");
  options.text("families", "LIST", wishes.families, "names with commas between, seen, held-out, all, clean");
  options.text("severities", "LIST", wishes.severities, "from 1 to 5, such as 1-5 (default) or 1,3");
  options.flag("mixture", wishes.mixture,
               "draw each copy from the standard mixture instead of writing every family at every severity");
  options.flag("held-out", wishes.held_out, "with --mixture: draw from the held-out families");
  options.integer("copies", "N", wishes.copies, 1, 1000, "copies of each picture at each setting (default 1)");
  options.integer("count", "N", wishes.count, 1, std::int64_t{1} << 40, "take only the first N pictures");
  options.text("split", "NAME", wishes.split,
               "train, policy, validation or test (default: the set's test part, else all)");
  options.integer("seed", "N", wishes.seed, 0, std::int64_t{1} << 62, "same seed, same bytes (default 0)");
  options.flag("png", wishes.png, "write PNG files in class folders for idx and CIFAR sets too");
  options.integer("threads", "N", wishes.threads, 1, 256, "default: one a core");
  options.flag("quiet", wishes.quiet, "no progress");
  options.remark(families_remark());
  if (!options.parse(args)) return false;
  if (wishes.out.empty() && wishes.preview.empty())
    throw Error(ExitCode::kUsage, "nothing to write", "bitpilot degrade",
                "name a folder with --out, a sheet with --preview, or both");
  if (wishes.mixture && (options.given("families") || options.given("severities")))
    throw Error(ExitCode::kUsage, "--mixture draws families and severities itself", "bitpilot degrade",
                "leave --families and --severities out");
  if (wishes.held_out && !wishes.mixture)
    throw Error(ExitCode::kUsage, "--held-out goes with --mixture", "bitpilot degrade",
                "add --mixture, or give --families held-out");
  return true;
}

DegradePlan make_plan(const Wishes& wishes) {
  DegradePlan plan;
  plan.families = read_families(wishes.families.empty() ? "seen,held-out" : wishes.families);
  plan.severities = read_severities(wishes.severities);
  if (wishes.mixture) plan.mixture = &standard_mixture();
  plan.held_out = wishes.held_out;
  plan.copies = static_cast<int>(wishes.copies);
  plan.seed = static_cast<std::uint64_t>(wishes.seed);
  plan.count = static_cast<std::size_t>(wishes.count);
  return plan;
}

/// "all" means those that apply: no colour families for gray pictures.
void drop_inapplicable(const Wishes& wishes, const ImageSet& set, DegradePlan& plan) {
  const std::vector<std::string> items = split_list(wishes.families);
  if (std::find(items.begin(), items.end(), "all") == items.end()) return;
  const int channels = set.image(0).channels;
  std::erase_if(plan.families, [&](const std::string& family) { return !applies_to_channels(family, channels); });
}

}  // namespace

int run_degrade(const std::vector<std::string>& args) {
  Wishes wishes;
  if (!read_wishes(args, wishes)) return static_cast<int>(ExitCode::kOk);
  DegradePlan plan = make_plan(wishes);
  Stop stop;
  const SignalStop signals(stop);
  const std::shared_ptr<const ImageSet> set = open_set(wishes);
  if (set->size() == 0)
    throw Error(ExitCode::kData, "the data set is empty", wishes.data, "name a folder with labelled pictures");
  drop_inapplicable(wishes, *set, plan);
  if (!wishes.preview.empty()) {
    const std::vector<std::string> shown = wishes.families.empty() ? degradation_families() : plan.families;
    write_file_atomically(wishes.preview, encode_png(preview_sheet(set->image(0), shown, plan.severities, plan.seed)));
    if (!wishes.quiet) std::fprintf(stderr, "preview sheet: %s\n", wishes.preview.c_str());
  }
  if (wishes.out.empty()) return static_cast<int>(ExitCode::kOk);
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const int threads = wishes.threads > 0 ? static_cast<int>(wishes.threads) : static_cast<int>(std::min(cores, 64U));
  Progress progress("degrade", planned_pictures(plan, *set), Progress::style(wishes.quiet));
  const bool whole = write_degraded_set(*set, plan, wishes.out, wishes.png || !set->uniform(), threads,
                                        [&](std::size_t done, std::size_t) {
                                          progress.update(done);
                                          return !stop.requested();
                                        });
  if (!whole) return 128 + SignalStop::received();
  progress.finish(wishes.out);
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace bitpilot
