#include "experiments/commands/train.h"

#include <torch/torch.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "experiments/cost_choice.h"
#include "experiments/methods/method.h"
#include "experiments/train_run.h"
#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"

namespace bitpilot {

namespace {

/// The recipe, its method's settings read too.
Recipe checked_recipe(const nlohmann::json& json, const std::string& where) {
  Recipe recipe = recipe_from_json(json, where);
  make_method(recipe);  // throws on its settings
  return recipe;
}

/// A wrong value in the file is bad data, a wrong --set is wrong usage.
Recipe read_recipe(const std::string& config, const std::vector<std::string>& settings) {
  const nlohmann::json file = parse_json(read_file(config), config);
  nlohmann::json json = file;
  for (const std::string& setting : settings) apply_setting(&json, setting);
  try {
    return checked_recipe(json, settings.empty() ? config : "--set, " + config);
  } catch (const Error& error) {
    if (settings.empty()) throw;
    checked_recipe(file, config);  // throws if the file is the one at fault
    Error usage = error;
    usage.code = ExitCode::kUsage;
    throw usage;
  }
}

/// Training runs on the CPU; a device that the LibTorch in use does not know is a slip of the pen, one that it knows has to wait.
void check_device(const std::string& device) {
  if (device == "cpu") return;
  const std::string cpu = "give --device cpu";
  if (device != "cuda")
    throw Error(ExitCode::kUsage, "unknown device \"" + device + "\"", "--device", nearest_name(device, {"cpu", "cuda"}) == "cuda" ? "did you mean cuda?" : cpu);
  if (!torch::cuda::is_available())
    throw Error(ExitCode::kMachine, "the LibTorch in use (" TORCH_VERSION ") finds no CUDA device", "--device cuda",
                cpu + ", or build against a LibTorch with CUDA (CMAKE_PREFIX_PATH)");
  throw Error(ExitCode::kMachine, "training on CUDA is untested, so it is not offered", "--device cuda", cpu);
}

}  // namespace

int run_train(const std::vector<std::string>& args) {
  std::string config, data, out, device = "cpu", float_from, networks_from, cost = "bops";
  std::vector<std::string> settings;
  std::int64_t seed = -1, threads = std::max(1U, std::thread::hardware_concurrency());
  bool resume = false, quiet = false;
  Options options("train", "learn a supernet and a per-image bit-width policy from a recipe", /*own_config=*/true);
  options.text("config", "FILE", config, "recipe (experiments/configs/*.json)").required();
  options.text("data", "SET", data, "data set: a folder (idx, cifar10, cifar100, imagefolder) or fashion-mnist; default: the recipe's");
  options.text("out", "DIR", out, "run folder").required();
  options.integer("seed", "N", seed, 0, INT64_MAX, "seed; default: the recipe's");
  options.flag("resume", resume, "continue the run in --out, or start it where there is none");
  options.text("device", "NAME", device, "cpu (cuda is refused: untested)");
  options.text("cost", "KIND", cost, "what the policy pays for: bops (default), or latency:FILE, this machine's times (bitpilot profile)");
  options.text("float-from", "DIR", float_from, "take the float network of another run instead of training one");
  options.text("networks-from", "DIR", networks_from, "take float network and supernet of another run of this recipe: only the policy is learned");
  options.list("set", "FIELD=VALUE", settings, "override a field of the recipe, as supernet.epochs=4");
  options.integer("threads", "N", threads, 1, 256, "threads; the result does not depend on it");
  options.flag("quiet", quiet, "no progress");
  if (!options.parse(args)) return 0;
  check_device(device);
  check_cost(cost);

  const auto has_float = [](const std::string& run) { return std::filesystem::exists(run + "/float.safetensors"); };
  if (!float_from.empty() && !has_float(float_from) && !has_float(out))
    throw Error(ExitCode::kData, "no float.safetensors in this folder", "--float-from " + float_from, "name the folder of another run");
  if (!networks_from.empty() && !has_float(networks_from) && !has_float(out))
    throw Error(ExitCode::kData, "no float.safetensors in this folder", "--networks-from " + networks_from, "name the folder of a finished run");
  if (!networks_from.empty() && !float_from.empty())
    throw Error(ExitCode::kUsage, "--networks-from and --float-from exclude each other", "bitpilot train", "--networks-from takes the float network too");
  TrainRequest request;
  request.recipe = read_recipe(config, settings);
  if (options.given("seed")) request.recipe.seed = static_cast<std::uint64_t>(seed);
  request.data = data.empty() ? request.recipe.data : data;
  if (request.data.empty())
    throw Error(ExitCode::kUsage, "neither --data nor the recipe names a data set", "bitpilot train", "give --data FOLDER or --data fashion-mnist");
  request.out = out;
  request.float_from = float_from;
  request.networks_from = networks_from;
  request.cost = cost;
  request.resume = resume;
  request.threads = static_cast<int>(threads);
  request.progress = Progress::style(quiet);
  Stop stop;
  const SignalStop signals(stop);
  request.stop = &stop;
  if (TrainRun(request).run()) return 0;
  std::cerr << "stopped: continue with --resume\n";
  return 128 + SignalStop::received();
}

}  // namespace bitpilot
