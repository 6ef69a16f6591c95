#include "experiments/train_run.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/codecs/decode.h"
#include "experiments/checkpoint.h"
#include "experiments/cost_choice.h"
#include "experiments/event_file.h"
#include "experiments/finish_run.h"
#include "experiments/methods/method.h"
#include "experiments/path_draws.h"
#include "experiments/run_clock.h"
#include "experiments/training_data.h"
#include "quant/export.h"
#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"
#include "runtime/format/model_file.h"
#include "runtime/kernels/kernels.h"
#include "runtime/machine.h"

namespace bitpilot {

namespace fs = std::filesystem;
using nlohmann::json;

RecipeNetwork make_recipe_network(const Recipe& recipe, const DataSplits& splits) {
  const Image first = splits.train->image(0);
  const int side = recipe.image_size > 0 ? recipe.image_size : std::min(224, first.height);
  const int wide = recipe.image_size > 0 ? recipe.image_size : std::min(224, first.width);
  RecipeNetwork result;
  result.network = make_backbone(recipe.backbone, {first.channels, side, wide}, static_cast<int>(splits.train->labels().size()), recipe.width);
  result.space = make_bit_space(result.network, bits_of(recipe), recipe.block);
  result.paths = make_paths(recipe, result.network, result.space);
  return result;
}

namespace {

// Names the fields in which two recipes differ, for the message of a refused resume.
std::string difference(const json& before, const json& now) {
  std::string text;
  for (const json& change : json::diff(before, now)) {
    if (!text.empty()) text += ", ";
    text += change.at("path").get<std::string>().substr(1);
  }
  return text;
}

/// How far a stage has come: all that a checkpoint holds beside the tensors.
struct StageProgress {
  std::vector<double> sums;           // of the losses since the epoch began
  std::optional<double> best_loss;    // lowest mean training loss of an epoch
};

struct Stage {
  std::string name;
  StageRecipe recipe;
  QuantizedNetwork* network;
  QuantizedNetwork* teacher;
  std::vector<int> paths;  // trained by it
  std::vector<int> held;   // trained before it and left alone
  std::vector<int> done, fresh;  // all trained before it; those of `paths` that were not
  int number = 0;                // among the supernet's
};

}  // namespace

struct TrainRun::Impl {
  TrainRequest request;
  DataSplits splits;
  RecipeNetwork parts;
  std::shared_ptr<const ImageSet> train_set;
  std::unique_ptr<QuantizedNetwork> float_network, supernet;
  std::unique_ptr<Method> method;
  std::string folder, checkpoints;
  json identity;           // recipe and data: a checkpoint of another identity is refused
  std::int64_t steps_before = 0;  // of earlier stages
  std::unique_ptr<RunClock> clock;

  Shape input() const { return parts.network.input_shape(); }
  std::string path(const std::string& name) const { return folder + "/" + name; }
  std::int64_t steps_per_epoch() const {
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(train_set->size()) / request.recipe.batch);
  }

  void open();
  void check_folder();
  void take_networks() const;
  bool train_stage(const Stage& stage);
  std::vector<Stage> supernet_stages();
  std::string latest_stage() const;
  std::string event_file() const { return path("events.out.tfevents.run"); }
  json stage_state(const Stage& stage, const TrainingLoop& loop, const StageProgress& progress) const;
  /// Restores the newest sound checkpoint of the stage; metrics and events are cut back to what it knows of.
  void restore(const Stage& stage, const NamedTensors& tensors, TrainingLoop& loop, StageProgress& progress) const;
  void save(const std::string& name, const NamedTensors& tensors, const json& state) const;
  /// The epoch that ends here: a line in the metrics, an event.  Returns its mean loss over the paths.
  double tell_epoch(const Stage& stage, std::int64_t epoch, const TrainingLoop& loop, const std::vector<double>& sums, const json& of_method) const;
  bool run();
};

void TrainRun::Impl::open() {
  method = make_method(request.recipe);
  splits = open_splits(request.data, decode_file);
  for (const std::string& warning : splits.warnings) std::cerr << "warning: " << warning << "\n";
  parts = make_recipe_network(request.recipe, splits);
  method->check(parts.network, parts.space);
  train_set = first_images(splits.train, static_cast<std::size_t>(request.recipe.train_images));
  if (static_cast<int>(train_set->size()) < request.recipe.batch)
    throw Error(ExitCode::kData, "the training split has " + std::to_string(train_set->size()) + " pictures, less than one batch",
                request.data, "give more pictures or set \"batch\" lower");
  identity = {{"recipe", recipe_to_json(request.recipe)}, {"data", train_set->hash()}, {"mixture", standard_mixture().hash}};
  const std::string cost_hash = read_cost(request.cost, parts.network, parts.space).hash;
  if (!cost_hash.empty()) {
    const Machine machine = this_machine(active_kernels(), 1);  // read_cost refuses a profile of any other
    identity["cost"] = "latency, profile sha256:" + cost_hash;
    identity["priced_on"] = {{"cpu", machine.cpu}, {"isa", machine.isa}};
  }
  folder = request.out;
  checkpoints = path("checkpoints");
  const PathSpec whole{"float", uniform_config(parts.space, 8, 8)};
  float_network = std::make_unique<QuantizedNetwork>(parts.network, parts.space, std::vector<PathSpec>{whole}, /*quantized=*/false,
                                                     request.recipe.seed);
  supernet = std::make_unique<QuantizedNetwork>(parts.network, parts.space, parts.paths, /*quantized=*/true, request.recipe.seed);
}

void TrainRun::Impl::check_folder() {
  std::error_code failure;
  const bool started = fs::exists(path("recipe.json"), failure);
  if (started && !request.resume)
    throw Error(ExitCode::kData, "the folder holds a run already", folder, "give --resume to continue it, or another --out");
  fs::create_directories(checkpoints, failure);
  if (failure) throw Error(ExitCode::kMachine, "the run folder cannot be made: " + failure.message(), folder, "check the path and its rights");
  if (started) {
    for (const std::string& place : {folder, checkpoints}) remove_torn_files(place);
    json before = parse_json(read_file(path("recipe.json")), path("recipe.json"));
    // Fields that came into recipes since the run began count with their defaults.
    if (before.contains("recipe")) before["recipe"] = recipe_to_json(recipe_from_json(before["recipe"], path("recipe.json")));
    if (before != identity)
      throw Error(ExitCode::kData, "the run was started with another recipe or data set: " + difference(before, identity), path("recipe.json"),
                  "resume with the same recipe and data, or give another --out");
  } else {
    write_file_atomically(path("recipe.json"), identity.dump(2) + "\n");
  }
}

json TrainRun::Impl::stage_state(const Stage& stage, const TrainingLoop& loop, const StageProgress& progress) const {
  std::error_code ignored;
  const std::uintmax_t bytes = fs::exists(path("metrics.jsonl"), ignored) ? fs::file_size(path("metrics.jsonl"), ignored) : 0;
  return {{"stage", stage.name},      {"step", loop.steps_done()}, {"loss_sums", progress.sums},
          {"metrics_bytes", bytes},   {"event_bytes", EventFile(event_file()).size()},
          {"best_loss", progress.best_loss ? json(*progress.best_loss) : json()}};
}

void TrainRun::Impl::restore(const Stage& stage, const NamedTensors& tensors, TrainingLoop& loop, StageProgress& progress) const {
  std::uintmax_t metrics = 0, events = 0;  // what the newest sound checkpoint, of an earlier stage perhaps, knows of
  for (const std::string& file : list_checkpoints(checkpoints)) {
    try {
      json state = read_checkpoint_state(file);
      if (state.at("stage") == stage.name) {
        state = read_checkpoint(file, tensors);
        loop.set_steps_done(state.at("step"));
        progress.sums = state.at("loss_sums").get<std::vector<double>>();
        if (state.contains("best_loss") && !state.at("best_loss").is_null()) progress.best_loss = state.at("best_loss").get<double>();
      }
      metrics = state.at("metrics_bytes").get<std::uintmax_t>();
      events = state.value("event_bytes", std::uintmax_t{0});
      break;
    } catch (const std::exception& e) {
      std::cerr << "warning: checkpoint " << file << " is damaged, trying the one before: " << e.what() << "\n";
    }
  }
  if (fs::exists(path("metrics.jsonl"))) fs::resize_file(path("metrics.jsonl"), metrics);
  EventFile(event_file()).cut(events);
}

void TrainRun::Impl::save(const std::string& name, const NamedTensors& tensors, const json& state) const {
  write_checkpoint(checkpoints + "/" + name + ".safetensors", tensors, state);
}

double TrainRun::Impl::tell_epoch(const Stage& stage, std::int64_t epoch, const TrainingLoop& loop, const std::vector<double>& sums,
                                  const json& of_method) const {
  json losses = json::object();
  std::vector<std::pair<std::string, double>> scalars{{stage.name + "/learning_rate", loop.learning_rate()}};
  double all = 0;
  const auto steps = static_cast<double>(steps_per_epoch());
  for (std::size_t p = 0; p < stage.paths.size(); ++p) {
    const std::string& name = stage.network->paths()[stage.paths[p]].name;
    losses[name] = sums[p] / steps;
    scalars.emplace_back(stage.name + "/loss/" + name, sums[p] / steps);
    all += sums[p] / steps;
  }
  std::ofstream file(path("metrics.jsonl"), std::ios::app);
  json line{{"stage", stage.name}, {"epoch", epoch}, {"step", loop.steps_done()}, {"loss", losses}};
  if (!of_method.is_null()) line["method"] = of_method;
  file << line.dump() << "\n" << std::flush;
  if (!file) throw Error(ExitCode::kMachine, "the metrics cannot be written", path("metrics.jsonl"), "free space on the disk");
  EventFile(event_file()).add(steps_before + loop.steps_done(), scalars);
  return all / static_cast<double>(stage.paths.size());
}

bool TrainRun::Impl::train_stage(const Stage& stage) {
  const std::int64_t per_epoch = steps_per_epoch(), total = per_epoch * stage.recipe.epochs;
  TrainingOptions options;
  options.learning_rate = stage.recipe.learning_rate;
  options.label_share = stage.recipe.label_share;
  options.teaching = stage.recipe.in_place ? Teaching::kFirst : Teaching::kTeacher;
  options.random_paths = stage.recipe.random_paths;
  options.threads = request.threads;
  options.seed = request.recipe.seed;
  options.paths = stage.paths;
  if (stage.network == supernet.get())
    for (const int p : stage.paths) options.path_weights.push_back(request.recipe.paths[p].loss_weight);
  if (stage.recipe.policy_share > 0) {
    PathDrawOptions draws;
    draws.seed = request.recipe.seed;
    std::vector<PathSpec> trained;
    for (const int p : stage.paths) trained.push_back(stage.network->paths()[p]);
    options.path_shares = policy_path_shares(stage.network->network(), stage.network->space(), trained, draws);
    options.shares_from = total - std::llround(stage.recipe.policy_share * static_cast<double>(total));
  }
  const bool by_method = stage.network == supernet.get();
  const MethodStage seen{stage.name, stage.network, per_epoch, total, stage.number, static_cast<int>(request.recipe.supernet.size())};
  if (by_method) method->begin_stage(seen, &options);
  TrainingLoop loop(stage.network, stage.teacher, total, options);
  NamedTensors tensors = stage.network->parameters();
  for (const auto& list : {stage.network->buffers(), loop.state(), by_method ? method->state() : NamedTensors{}}) tensors.insert(tensors.end(), list.begin(), list.end());

  StageProgress so_far;
  so_far.sums.assign(stage.paths.size() + static_cast<std::size_t>(stage.recipe.random_paths), 0.0);
  restore(stage, tensors, loop, so_far);
  if (stage.network == supernet.get()) stage.network->hold(stage.held);
  if (loop.steps_done() < total) clock->begin(by_method ? "supernet" : "float");  // else it was trained by an earlier call, or another run

  LoaderOptions loading;
  loading.seed = request.recipe.seed;
  loading.purpose = stage.name;
  BatchLoader loader(train_set, standard_mixture(), input(), /*stretch=*/true, loading);
  Progress progress(stage.name, static_cast<std::uint64_t>(total), request.progress);
  const auto batch_size = static_cast<std::size_t>(request.recipe.batch);
  while (loop.steps_done() < total) {
    const std::int64_t epoch = loop.steps_done() / per_epoch, at = loop.steps_done() % per_epoch;
    loader.start(static_cast<std::uint64_t>(epoch), batch_size, static_cast<std::size_t>(at) * batch_size);
    TrainingBatch batch = to_batch(loader.next(), input());
    for (std::int64_t i = at; i < per_epoch; ++i) {
      const TrainingBatch next = i + 1 < per_epoch ? to_batch(loader.next(), input()) : TrainingBatch{};
      const std::vector<double> losses = loop.step(batch, next);
      for (std::size_t p = 0; p < losses.size(); ++p) so_far.sums[p] += losses[p];
      batch = next;
      progress.update(static_cast<std::uint64_t>(loop.steps_done()), "loss " + std::to_string(losses.back()).substr(0, 6));
      const bool stop = request.stop != nullptr && request.stop->requested(), epoch_ends = i + 1 == per_epoch;
      if (epoch_ends) {
        const double loss = tell_epoch(stage, epoch, loop, so_far.sums, by_method ? method->end_epoch(seen, epoch) : json());
        std::fill(so_far.sums.begin(), so_far.sums.end(), 0.0);
        // The best one first: a kill in between repeats this epoch and writes the same bytes again.
        const bool best = !so_far.best_loss || loss < *so_far.best_loss;
        if (best) so_far.best_loss = loss;
        if (best) save("best", tensors, stage_state(stage, loop, so_far));
      }
      if (stop || epoch_ends || loop.steps_done() % request.recipe.checkpoint_steps == 0) {
        char name[32];
        std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(steps_before + loop.steps_done()));
        save(name, tensors, stage_state(stage, loop, so_far));
        clock->keep();
        prune_checkpoints(checkpoints, 2);
      }
      if (stop) return false;
    }
  }
  progress.finish();
  if (by_method) method->end_stage(seen);
  return true;
}

// The stages of the supernet in order: which paths each one trains, and which it must leave as they are.
std::vector<Stage> TrainRun::Impl::supernet_stages() {
  std::vector<Stage> stages;
  std::vector<bool> done(parts.paths.size(), false);
  for (const StageRecipe& recipe : request.recipe.supernet) {
    Stage stage{"supernet", recipe, supernet.get(), float_network.get(), {}, {}, {}, {}, static_cast<int>(stages.size())};
    if (!stages.empty()) stage.name += std::to_string(stages.size() + 1);
    for (std::size_t p = 0; p < parts.paths.size(); ++p) {
      const bool named = std::count(recipe.paths.begin(), recipe.paths.end(), parts.paths[p].name) > 0;
      const bool trains = recipe.paths.empty() || named;
      if (trains) stage.paths.push_back(static_cast<int>(p));
      if (done[p]) stage.done.push_back(static_cast<int>(p));
      if (done[p] && !trains) stage.held.push_back(static_cast<int>(p));
      if (!done[p] && trains) stage.fresh.push_back(static_cast<int>(p));
    }
    for (const int p : stage.paths) done[p] = true;
    stages.push_back(std::move(stage));
  }
  return stages;
}

// Name of the stage that the newest readable checkpoint belongs to; empty without one.
std::string TrainRun::Impl::latest_stage() const {
  for (const std::string& file : list_checkpoints(checkpoints)) {
    try {
      return read_checkpoint_state(file).at("stage");
    } catch (const std::exception&) {
      continue;  // reading it as a whole will say what is wrong with it
    }
  }
  return "";
}

// Another run's trained networks, as if they had been trained here: its float network and its checkpoints.
void TrainRun::Impl::take_networks() const {
  const std::string& from = request.networks_from;
  if (from.empty() || fs::exists(path("float.safetensors"))) return;
  json before = parse_json(read_file(from + "/recipe.json"), from + "/recipe.json"), now = identity;
  for (json* run : {&before, &now}) {
    for (const char* own : {"cost", "priced_on"}) run->erase(own);
    for (const char* free : {"name", "policy", "evaluation_images"}) (*run)["recipe"].erase(free);
  }
  if (before != now)
    throw Error(ExitCode::kData, "the other run was trained with another recipe or data set: " + difference(before, now), "--networks-from " + from,
                "take the recipe of that run; only its name and its policy may differ");
  std::error_code failure;
  for (const char* name : {"checkpoints", "metrics.jsonl", "events.out.tfevents.run", "float.safetensors"}) {  // the last one tells that all are there
    if (!fs::exists(from + "/" + name, failure) && std::string(name) == "events.out.tfevents.run") continue;
    fs::copy(from + "/" + name, path(name), fs::copy_options::recursive | fs::copy_options::overwrite_existing, failure);
    if (failure) throw Error(ExitCode::kMachine, "the trained networks cannot be copied: " + failure.message(), from + "/" + name, "check the folder and its rights");
  }
}

bool TrainRun::Impl::run() {
  open();
  check_folder();
  if (fs::exists(path("summary.json"))) {
    std::cout << folder << " holds the finished run\n";
    return true;
  }
  take_networks();
  clock = std::make_unique<RunClock>(path("seconds.json"));
  const std::string float_file = path("float.safetensors");
  NamedTensors float_tensors = float_network->parameters();
  for (const auto& buffer : float_network->buffers()) float_tensors.push_back(buffer);
  if (!request.float_from.empty() && !fs::exists(float_file))
    write_file_atomically(float_file, read_file(request.float_from + "/float.safetensors"));
  if (!fs::exists(float_file)) {
    if (!train_stage({"float", request.recipe.float_stage, float_network.get(), nullptr, {0}, {}, {}, {}, 0})) return false;
    write_checkpoint(float_file, float_tensors, {{"stage", "float"}});
  }
  read_checkpoint(float_file, float_tensors);
  steps_before = steps_per_epoch() * request.recipe.float_stage.epochs;

  const CalibrationBatches batches = calibration_batches(request.recipe, train_set, input());
  torch::Tensor first;
  batches([&](const torch::Tensor& src) { if (!first.defined()) first = src.clone(); });
  supernet->start_from(*float_network, first);
  const std::vector<Stage> stages = supernet_stages();
  const std::string latest = latest_stage();
  bool reached = std::none_of(stages.begin(), stages.end(), [&](const Stage& stage) { return stage.name == latest; });
  for (std::size_t i = 0; i < stages.size(); ++i) {
    // A checkpoint of a later stage holds all that the earlier ones learned.
    reached = reached || stages[i].name == latest;
    if (reached) {
      supernet->continue_paths(stages[i].done, stages[i].fresh);
      if (!train_stage(stages[i])) return false;
    }
    steps_before += steps_per_epoch() * stages[i].recipe.epochs;
  }
  clock->begin("policy");
  supernet->hold({});
  recalibrate(supernet.get(), batches);
  ModelData model = export_model(supernet.get(), batches);
  const bool finished = finish_run({request, splits, *float_network, *supernet, batches, identity, std::move(model), {}, clock.get()}, method.get());
  clock->keep();
  return finished;
}

TrainRun::TrainRun(TrainRequest request) : impl_(std::make_unique<Impl>()) { impl_->request = std::move(request); }
TrainRun::~TrainRun() = default;
bool TrainRun::run() { return impl_->run(); }

}  // namespace bitpilot
