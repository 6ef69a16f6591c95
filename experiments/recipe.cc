#include "experiments/recipe.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "policy/bit_distribution.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"

namespace bitpilot {
namespace {

using nlohmann::json;

constexpr double kMostPolicyShare = 0.999;  // below 1: before a path has learned anything no policy can be drawn from its scores

StageRecipe read_stage(const JsonReader& reader, StageRecipe stage) {
  reader.allow({"epochs", "learning_rate", "label_share", "in_place", "random_paths", "policy_share", "paths"});
  stage.epochs = static_cast<int>(reader.integer("epochs", 0, 1000, stage.epochs));
  stage.learning_rate = reader.number("learning_rate", 1e-8, 1, stage.learning_rate);
  stage.label_share = reader.number("label_share", 0, 1, stage.label_share);
  stage.in_place = reader.boolean("in_place", stage.in_place);
  stage.random_paths = static_cast<int>(reader.integer("random_paths", 0, 4, stage.random_paths));
  stage.policy_share = reader.number("policy_share", 0, kMostPolicyShare, stage.policy_share);
  if (reader.has("paths")) {
    const JsonReader names = reader.at("paths");
    for (std::size_t i = 0; i < names.size(); ++i) stage.paths.push_back(names.at(i).text());
  }
  return stage;
}

json stage_to_json(const StageRecipe& stage) {
  json result{{"epochs", stage.epochs}, {"learning_rate", stage.learning_rate}, {"label_share", stage.label_share},
              {"in_place", stage.in_place}, {"random_paths", stage.random_paths}, {"policy_share", stage.policy_share}};
  if (!stage.paths.empty()) result["paths"] = stage.paths;
  return result;
}

std::vector<StageRecipe> read_stages(const JsonReader& reader) {
  if (!reader.value().is_array()) return {read_stage(reader, StageRecipe{})};
  std::vector<StageRecipe> stages;
  for (std::size_t i = 0; i < reader.size(); ++i) stages.push_back(read_stage(reader.at(i), StageRecipe{}));
  if (stages.empty() || stages.size() > 8) reader.fail("a supernet is trained in 1 to 8 stages");
  return stages;
}

json stages_to_json(const std::vector<StageRecipe>& stages) {
  if (stages.size() == 1) return stage_to_json(stages.front());
  json list = json::array();
  for (const StageRecipe& stage : stages) list.push_back(stage_to_json(stage));
  return list;
}

// Every stage names known paths, and every path is trained by some stage: by name, or by free configurations that borrow from it.
void check_stages(const JsonReader& reader, const Recipe& recipe) {
  std::set<std::string> trained;
  bool borrowed = false;
  for (const StageRecipe& stage : recipe.supernet) {
    borrowed = borrowed || stage.random_paths > 0;
    for (const PathRecipe& path : recipe.paths)
      if (stage.paths.empty() || std::count(stage.paths.begin(), stage.paths.end(), path.name)) trained.insert(path.name);
    for (const std::string& name : stage.paths)
      if (std::none_of(recipe.paths.begin(), recipe.paths.end(), [&](const PathRecipe& path) { return path.name == name; }))
        reader.fail("a stage trains the path \"" + name + "\", which \"paths\" does not hold");
  }
  for (const PathRecipe& path : recipe.paths)
    if (!borrowed && !trained.count(path.name)) reader.fail("no stage trains the path \"" + path.name + "\": name it in the \"paths\" of one, or let free configurations borrow it with \"random_paths\" of 1 or more");
}

PathRecipe read_path(const JsonReader& reader) {
  reader.allow({"name", "weight", "activation", "width", "loss_weight", "layers"});
  PathRecipe path;
  path.name = reader.text("name", "");
  if (path.name.empty() || path.name.size() > 40 || path.name.find('.') != std::string::npos)
    reader.fail("a path needs a \"name\" of 1 to 40 characters without dots");
  path.weight = static_cast<int>(reader.integer("weight", 2, 8, 8));
  path.activation = static_cast<int>(reader.integer("activation", 2, 8, path.weight));
  path.width = reader.number("width", 1e-3, 1, 1);
  path.loss_weight = reader.number("loss_weight", 1e-3, 100, 1);
  if (!reader.has("layers")) return path;
  const JsonReader layers = reader.at("layers");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const JsonReader entry = layers.at(i);
    if (entry.size() < 2 || entry.size() > 3) entry.fail("a layer is [weight bits, activation bits] or [weight, activation, blocks]");
    path.layers.push_back({static_cast<int>(entry.at(std::size_t{0}).integer(2, 8)), static_cast<int>(entry.at(1).integer(2, 8)),
                           entry.size() > 2 ? static_cast<int>(entry.at(2).integer(0, 65536)) : 0});
  }
  return path;
}

json path_to_json(const PathRecipe& path) {
  json result{{"name", path.name}, {"loss_weight", path.loss_weight}};
  if (path.layers.empty()) {
    result["weight"] = path.weight;
    result["activation"] = path.activation;
    result["width"] = path.width;
    return result;
  }
  result["layers"] = json::array();
  for (const LayerBits& bits : path.layers) result["layers"].push_back({bits.weight, bits.activation, bits.active_blocks});
  return result;
}

PolicyRecipe read_policy(const JsonReader& reader) {
  reader.allow({"enabled", "looks", "draws", "price_draws", "reference_loss", "reference", "distribution", "offset_steps", "offset_pictures"});
  PolicyRecipe policy;
  policy.enabled = reader.boolean("enabled", true);
  policy.looks = static_cast<int>(reader.integer("looks", 1, 2, policy.looks));
  policy.draws = static_cast<int>(reader.integer("draws", 1, 32, policy.draws));
  policy.price_draws = static_cast<int>(reader.integer("price_draws", 1, 64, policy.price_draws));
  policy.reference_loss = reader.number("reference_loss", 0, 100, policy.reference_loss);
  policy.reference = reader.text("reference", "");
  if (reader.has("distribution")) {
    const JsonReader name = reader.at("distribution");
    policy.distribution = bit_family_name(bit_family(name.text(), name.where()));
  }
  policy.offset_steps = static_cast<int>(reader.integer("offset_steps", 0, 100000, policy.offset_steps));
  policy.offset_pictures = static_cast<int>(reader.integer("offset_pictures", 16, 1000000, policy.offset_pictures));
  return policy;
}

}  // namespace

Recipe recipe_from_json(const json& value, const std::string& where) {
  const JsonReader reader(value, where);
  reader.allow({"name", "data", "backbone", "width", "block", "image_size", "seed", "batch", "train_images", "evaluation_images",
                "calibration_images", "checkpoint_steps", "float", "supernet", "paths", "safe_anchor", "policy", "method"});
  Recipe recipe;
  recipe.name = reader.text("name", recipe.name);
  recipe.data = reader.text("data", "");
  recipe.backbone = reader.text("backbone", recipe.backbone);
  recipe.width = static_cast<int>(reader.integer("width", 8, 256, recipe.width));
  recipe.block = static_cast<int>(reader.integer("block", 8, 16, recipe.block));
  if (recipe.block != 8 && recipe.block != 16) reader.at("block").fail("a block holds 8 or 16 filters");
  recipe.image_size = static_cast<int>(reader.integer("image_size", 0, 224, 0));
  recipe.seed = static_cast<std::uint64_t>(reader.integer("seed", 0, INT64_MAX, 0));
  recipe.batch = static_cast<int>(reader.integer("batch", 8, 4096, recipe.batch));
  recipe.train_images = static_cast<int>(reader.integer("train_images", 0, INT32_MAX, 0));
  recipe.evaluation_images = static_cast<int>(reader.integer("evaluation_images", 0, INT32_MAX, 0));
  recipe.calibration_images = static_cast<int>(reader.integer("calibration_images", 64, 100000, recipe.calibration_images));
  recipe.checkpoint_steps = static_cast<int>(reader.integer("checkpoint_steps", 1, 1000000, recipe.checkpoint_steps));
  if (reader.has("float")) recipe.float_stage = read_stage(reader.at("float"), recipe.float_stage);
  if (recipe.float_stage.policy_share > 0) reader.at("float").fail("a float network has one path, so no \"policy_share\"");
  if (reader.has("supernet")) recipe.supernet = read_stages(reader.at("supernet"));
  if (reader.has("paths")) {
    const JsonReader paths = reader.at("paths");
    std::set<std::string> names;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      recipe.paths.push_back(read_path(paths.at(i)));
      if (!names.insert(recipe.paths.back().name).second) paths.at(i).fail("two paths have the name \"" + recipe.paths.back().name + "\"");
    }
  }
  if (recipe.paths.empty() || recipe.paths.size() > 16) reader.fail("a recipe needs 1 to 16 \"paths\"");
  check_stages(reader.has("supernet") ? reader.at("supernet") : reader, recipe);
  recipe.safe_anchor = reader.text("safe_anchor", recipe.paths.front().name);
  const auto known = [&](const std::string& name) {
    return std::any_of(recipe.paths.begin(), recipe.paths.end(), [&](const PathRecipe& path) { return path.name == name; });
  };
  if (!known(recipe.safe_anchor)) reader.at("safe_anchor").fail("no path has the name \"" + recipe.safe_anchor + "\"");
  if (reader.has("policy")) recipe.policy = read_policy(reader.at("policy"));
  if (!recipe.policy.reference.empty() && !known(recipe.policy.reference))
    reader.at("policy").fail("no path has the name \"" + recipe.policy.reference + "\"");
  if (reader.has("method")) {
    const JsonReader method = reader.at("method");
    if (!method.value().is_object() || method.text("name", "").empty()) method.fail("a method is an object with a \"name\"");
    recipe.method = method.value();
  }
  return recipe;
}

json recipe_to_json(const Recipe& recipe) {
  json paths = json::array();
  for (const PathRecipe& path : recipe.paths) paths.push_back(path_to_json(path));
  json result{{"name", recipe.name}, {"data", recipe.data}, {"backbone", recipe.backbone}, {"width", recipe.width}, {"block", recipe.block},
          {"image_size", recipe.image_size}, {"seed", recipe.seed}, {"batch", recipe.batch}, {"train_images", recipe.train_images},
          {"evaluation_images", recipe.evaluation_images}, {"calibration_images", recipe.calibration_images},
          {"checkpoint_steps", recipe.checkpoint_steps}, {"float", stage_to_json(recipe.float_stage)},
          {"supernet", stages_to_json(recipe.supernet)}, {"paths", paths}, {"safe_anchor", recipe.safe_anchor},
          {"policy", {{"enabled", recipe.policy.enabled}, {"looks", recipe.policy.looks}, {"draws", recipe.policy.draws}, {"price_draws", recipe.policy.price_draws},
                      {"reference_loss", recipe.policy.reference_loss}, {"reference", recipe.policy.reference},
                      {"distribution", recipe.policy.distribution}, {"offset_steps", recipe.policy.offset_steps}, {"offset_pictures", recipe.policy.offset_pictures}}}};
  if (!recipe.method.is_null()) result["method"] = recipe.method;
  return result;
}

Recipe read_run_recipe(const std::string& run) {
  const std::string path = run + "/recipe.json";
  const json identity = parse_json(read_file(path), path);
  if (!identity.is_object() || !identity.contains("recipe"))
    throw Error(ExitCode::kData, "this is no run", path, "give a folder that `bitpilot train` wrote");
  return recipe_from_json(identity["recipe"], path);
}

namespace {

constexpr std::string_view kStagePrefix = "/supernet/";

// "/supernet/1/epochs": a field of one stage among several.
bool of_numbered_stage(const std::string& path) {
  return path.starts_with(kStagePrefix) && path.size() > kStagePrefix.size() &&
         std::isdigit(static_cast<unsigned char>(path[kStagePrefix.size()]));
}

// Fields that not every recipe has.
bool is_optional(const std::string& path) {
  return path.starts_with("/paths/") || path == "/supernet" || path == "/supernet/paths" || path == "/method" || path.starts_with("/method/") || of_numbered_stage(path);
}

}  // namespace

void apply_setting(json* recipe, const std::string& setting) {
  const std::size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0)
    throw Error(ExitCode::kUsage, "\"" + setting + "\" is no setting", "--set", "write --set field=value or --set stage.field=value");
  std::string path(1, '/');
  path.append(setting, 0, equals);
  std::replace(path.begin(), path.end(), '.', '/');
  const std::string text = setting.substr(equals + 1);
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) value = text;
  const json known = recipe_to_json(Recipe{});
  const json::json_pointer pointer(path);
  if (!known.contains(pointer) && !is_optional(path)) {
    std::vector<std::string> names;
    const json flat = known.flatten();
    for (const auto& [key, unused] : flat.items()) {
      std::string name = key.substr(1);
      std::replace(name.begin(), name.end(), '/', '.');
      names.push_back(name);
    }
    const std::string nearest = nearest_name(setting.substr(0, equals), names);
    throw Error(ExitCode::kUsage, "a recipe has no field \"" + setting.substr(0, equals) + "\"", "--set " + setting,
                nearest.empty() ? "see the fields in experiments/recipe.h" : "did you mean \"" + nearest + "\"?");
  }
  const bool staged = recipe->contains("supernet") && (*recipe)["supernet"].is_array();
  if (staged && path.starts_with(kStagePrefix) && !of_numbered_stage(path))
    throw Error(ExitCode::kUsage, "this recipe trains its supernet in stages", "--set " + setting,
                "name the stage, the first one is supernet.0." + setting.substr(kStagePrefix.size() - 1, equals - (kStagePrefix.size() - 1)));
  try {
    (*recipe)[pointer] = value;
  } catch (const json::exception& e) {
    throw Error(ExitCode::kUsage, "the setting does not fit the recipe", "--set " + setting, "check the path of the field");
  }
}

std::vector<PathSpec> make_paths(const Recipe& recipe, const Network& network, const BitSpace& space) {
  std::vector<PathSpec> specs;
  for (const PathRecipe& path : recipe.paths) {
    BitConfig config = uniform_config(space, path.weight, path.activation, path.width);
    if (!path.layers.empty()) {
      std::size_t next = 0;
      for (int l = 0; l < network.layer_count(); ++l) {
        if (network.fixed(l)) continue;
        if (next < path.layers.size()) {
          config[l] = path.layers[next];
          if (config[l].active_blocks == 0) config[l].active_blocks = space.layers[l].blocks;
        }
        ++next;
      }
      if (next != path.layers.size())
        throw Error(ExitCode::kData, "path \"" + path.name + "\" names " + std::to_string(path.layers.size()) + " layers, the network has " +
                    std::to_string(next) + " adaptive ones", "recipe, paths", "name every adaptive layer once");
    }
    check_config(network, space, config);
    specs.push_back({path.name, config});
  }
  return specs;
}

std::vector<int> bits_of(const Recipe& recipe) {
  std::set<int> bits{8};
  for (const PathRecipe& path : recipe.paths) {
    if (path.layers.empty()) bits.insert({path.weight, path.activation});
    for (const LayerBits& layer : path.layers) bits.insert({layer.weight, layer.activation});
  }
  return {bits.begin(), bits.end()};
}

}  // namespace bitpilot
