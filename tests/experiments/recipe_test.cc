#include "experiments/recipe.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"

using namespace bitpilot;
using nlohmann::json;

namespace {

json minimal() { return {{"paths", {{{"name", "u4"}, {"weight", 4}}}}}; }

std::string message_of(const json& recipe) {
  try {
    recipe_from_json(recipe, "recipe");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kData);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("experiments/recipe: every recipe in the tree is read, and is the same after one turn through JSON") {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(BITPILOT_SOURCE_DIR) + "/experiments/configs")) {
    if (entry.path().filename() == "mixture.json") continue;
    INFO(entry.path().string());
    const Recipe recipe = recipe_from_json(parse_json(read_file(entry.path().string()), entry.path().string()), entry.path().string());
    const json resolved = recipe_to_json(recipe);
    CHECK(recipe_to_json(recipe_from_json(resolved, "resolved")) == resolved);
    const Network network = make_backbone(recipe.backbone, {1, 28, 28}, 10, recipe.width);
    const BitSpace space = make_bit_space(network, bits_of(recipe), recipe.block);
    CHECK(make_paths(recipe, network, space).size() == recipe.paths.size());
    ++count;
  }
  CHECK(count >= 3);
}

TEST_CASE("experiments/recipe: mistakes are refused with the place and the nearest name") {
  CHECK(message_of(minimal()).empty());
  json recipe = minimal();
  recipe["epocs"] = 3;
  CHECK(message_of(recipe).find("epocs") != std::string::npos);
  recipe = minimal();
  recipe["supernet"] = {{"learning_rat", 0.1}};
  CHECK(message_of(recipe).find("learning_rate") != std::string::npos);
  recipe = minimal();
  recipe["float"] = {{"policy_share", 0.5}};
  CHECK(message_of(recipe).find("policy_share") != std::string::npos);
  recipe = minimal();
  recipe["supernet"] = {{"policy_share", 1.0}};
  CHECK_FALSE(message_of(recipe).empty());
  recipe["supernet"] = {{"policy_share", 0.5}};
  CHECK(message_of(recipe).empty());
  recipe = minimal();
  recipe["policy"] = {{"distribution", "truncated_norm"}};
  CHECK(message_of(recipe).find("where: recipe: policy.distribution") != std::string::npos);
  CHECK(message_of(recipe).find("did you mean 'truncated_normal'") != std::string::npos);
  recipe["policy"] = {{"distribution", "truncated_normal"}};
  CHECK(recipe_from_json(recipe, "recipe").policy.distribution == "truncated_normal");
  for (const int looks : {0, 3}) {
    recipe["policy"] = {{"looks", looks}};
    CHECK(message_of(recipe).find("where: recipe: policy.looks") != std::string::npos);
  }
  recipe["policy"] = {{"looks", 1}};
  CHECK(recipe_from_json(recipe, "recipe").policy.looks == 1);
  recipe = minimal();
  recipe["block"] = 12;
  CHECK(message_of(recipe).find("8 or 16") != std::string::npos);
  recipe = minimal();
  recipe["safe_anchor"] = "u5";
  CHECK(message_of(recipe).find("u5") != std::string::npos);
  recipe = minimal();
  recipe["paths"].push_back(recipe["paths"][0]);
  CHECK(message_of(recipe).find("two paths") != std::string::npos);
  recipe = minimal();
  recipe["paths"][0]["weight"] = 9;
  CHECK_FALSE(message_of(recipe).empty());
  CHECK_FALSE(message_of(json::object()).empty());
}

TEST_CASE("experiments/recipe: settings override fields, unknown ones name the nearest") {
  json recipe = minimal();
  apply_setting(&recipe, "supernet.epochs=7");
  apply_setting(&recipe, "name=other");
  apply_setting(&recipe, R"(paths=[{"name":"u2","weight":2}])");
  const Recipe read = recipe_from_json(recipe, "recipe");
  CHECK(read.supernet.at(0).epochs == 7);
  CHECK(read.name == "other");
  CHECK(read.paths.at(0).weight == 2);
  for (const char* wrong : {"supernet.epoch=1", "=3", "novalue"}) {
    INFO(std::string(wrong));
    CHECK_THROWS_AS(apply_setting(&recipe, wrong), Error);
  }
  try {
    apply_setting(&recipe, "supernet.epoch=1");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kUsage);
    CHECK(std::string(error.what()).find("supernet.epochs") != std::string::npos);
  }
}

TEST_CASE("experiments/recipe: a path by layers names every adaptive layer once") {
  const Network network = resnet8({1, 28, 28}, 10);
  json recipe = minimal();
  recipe["paths"][0] = {{"name", "mixed"}, {"layers", json::array()}};
  for (int l = 0; l + 2 < network.layer_count(); ++l) recipe["paths"][0]["layers"].push_back({l % 2 ? 2 : 4, 3});
  const Recipe read = recipe_from_json(recipe, "recipe");
  const BitSpace space = make_bit_space(network, bits_of(read), read.block);
  CHECK(bits_of(read) == std::vector<int>{2, 3, 4, 8});
  const BitConfig config = make_paths(read, network, space).at(0).config;
  CHECK(config[1].weight == 4);
  CHECK(config[2].weight == 2);
  CHECK(config[1].active_blocks == space.layers[1].blocks);
  recipe["paths"][0]["layers"].erase(0);
  const Recipe short_one = recipe_from_json(recipe, "recipe");
  CHECK_THROWS_AS(make_paths(short_one, network, space), Error);
}

TEST_CASE("experiments/recipe: a supernet in stages") {
  json recipe = minimal();
  recipe["paths"] = json::parse(R"([{"name":"u4","weight":4},{"name":"u2","weight":2}])");
  recipe["safe_anchor"] = "u4";
  recipe["supernet"] = json::parse(R"([{"epochs":3,"paths":["u2"]},{"epochs":2,"paths":["u4"]}])");
  apply_setting(&recipe, "supernet.1.epochs=5");
  const Recipe read = recipe_from_json(recipe, "recipe");
  REQUIRE(read.supernet.size() == 2);
  CHECK(read.supernet[0].epochs == 3);
  CHECK(read.supernet[1].epochs == 5);
  CHECK((read.supernet[1].paths == std::vector<std::string>{"u4"}));
  CHECK((recipe_to_json(recipe_from_json(recipe_to_json(read), "again")) == recipe_to_json(read)));

  json wrong = recipe;
  wrong["supernet"][1]["paths"] = json::array({"u5"});
  CHECK(message_of(wrong).find("u5") != std::string::npos);
  wrong = recipe;
  wrong["supernet"].erase(1);
  CHECK(message_of(wrong).find("no stage trains the path \"u4\"") != std::string::npos);
  CHECK(message_of(wrong).find("\"random_paths\"") != std::string::npos);
  wrong["supernet"][0]["random_paths"] = 1;
  CHECK(message_of(wrong).empty());
  wrong["supernet"] = json::array();
  CHECK(message_of(wrong).find("1 to 8 stages") != std::string::npos);
  CHECK_THROWS_AS(apply_setting(&recipe, "supernet.epochs=4"), Error);
}
