#include "runtime/core/network.h"

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "runtime/core/error.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::sample_network;

namespace {

ExitCode code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code;
  }
  return ExitCode::kOk;
}

}  // namespace

TEST_CASE("core/network: shapes, weights and MACs follow from the graph") {
  const Network network = sample_network();  // 12 x 12, width 16
  REQUIRE(network.layer_count() == 8);
  CHECK(network.layer(0).name == "stem");
  CHECK(network.macs(0) == 12 * 12 * 9 * 16);
  CHECK(network.macs(1) == 12 * 12 * 9 * 16 * 16);
  CHECK(network.layer(3).name == "block2.shortcut");
  CHECK(network.layer(3).shape == Shape{32, 6, 6});
  CHECK(network.macs(3) == 6 * 6 * 16 * 32);
  CHECK(network.layer(4).name == "block2.depthwise");
  CHECK(network.depthwise(4));
  CHECK_FALSE(network.depthwise(3));
  CHECK(network.weight_count(4) == 16 * 9);
  CHECK(network.macs(4) == 6 * 6 * 16 * 9);
  CHECK(network.layer(6).shape == Shape{32, 3, 3});  // behind the max pool
  CHECK(network.macs(7) == 32 * 5);
  CHECK(network.in_channels(7) == 32);
  CHECK(network.classes() == 5);
  std::int64_t sum = 0;
  for (int l = 0; l < network.layer_count(); ++l) sum += network.macs(l);
  CHECK(network.macs() == sum);
}

TEST_CASE("core/network: layers joined by an Add or a depthwise layer share one width group") {
  const Network network = sample_network();
  const std::vector<int>& groups = network.width_groups();
  // stem, conv1, conv2, shortcut, depthwise, pointwise, conv1, classifier
  CHECK(groups == std::vector<int>{0, 1, 0, 2, 0, 2, 3, 4});
}

TEST_CASE("core/network: groups join through chains of identities as well") {
  Network network;
  int x = network.relu(network.conv("stem", network.input({3, 8, 8}), 16, 3));
  for (const char* name : {"a", "b", "c"}) x = network.relu(network.add(x, network.conv(name, x, 16, 3)));
  network.linear("classifier", network.global_avg_pool(x), 2);
  network.finish();
  CHECK(network.width_groups() == std::vector<int>{0, 0, 0, 0, 1});
}

TEST_CASE("core/network: readers of a narrow stem see its active blocks, the stem itself is whole") {
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, {2, 8});
  const BitConfig half = uniform_config(space, 8, 8, 0.5);
  CHECK(half[0] == LayerBits{8, 8, 2});
  CHECK(network.active_out(0, half, space) == 8);  // shares its filters with block1.conv2
  CHECK(network.active_in(1, half, space) == 8);
  CHECK(network.active_in(0, half, space) == 1);
  CHECK(network.active_in(4, half, space) == 8);
  CHECK(network.active_out(4, half, space) == 8);
  CHECK(network.active_out(6, half, space) == 16);
  CHECK(network.active_in(7, half, space) == 16);
  CHECK(network.active_out(7, half, space) == 5);
  const BitConfig full = uniform_config(space, 8, 8);
  CHECK(network.active_out(0, full, space) == 16);
  CHECK(network.active_in(7, full, space) == 32);
}

TEST_CASE("core/network: a stem that shares its filters with nobody is read whole") {
  Network network;
  const int stem = network.relu(network.conv("stem", network.input({1, 8, 8}), 16, 3));
  network.linear("classifier", network.global_avg_pool(network.relu(network.conv("a", stem, 16, 3))), 2);
  network.finish();
  const BitSpace space = make_bit_space(network, {4});
  const BitConfig half = uniform_config(space, 4, 4, 0.5);
  CHECK(network.active_in(1, half, space) == 16);
  CHECK(network.active_out(1, half, space) == 8);
}

TEST_CASE("core/network: the last block may be partly filled") {
  const Network network = sample_network(12);  // 12 = 8 + 4 filters
  const BitSpace space = make_bit_space(network, {4});
  CHECK(space.layers[1].blocks == 2);
  CHECK(network.active_out(1, uniform_config(space, 4, 4), space) == 12);
  CHECK(network.active_out(1, uniform_config(space, 4, 4, 0.5), space) == 8);
}

TEST_CASE("core/network: JSON gives the same network back") {
  const Network network = sample_network();
  const nlohmann::json json = network_to_json(network);
  const Network back = network_from_json(json);
  CHECK(back == network);
  CHECK(network_to_json(back).dump() == json.dump());
  CHECK(back.width_groups() == network.width_groups());
  CHECK(back.layer(7).normalised == false);
  nlohmann::json other = json;
  other["nodes"][1]["normalised"] = false;
  CHECK_FALSE(network_from_json(other) == network);
}

TEST_CASE("core/network: a graph that is none is refused as bad data") {
  const nlohmann::json good = network_to_json(sample_network());
  const std::vector<std::pair<const char*, std::function<void(nlohmann::json&)>>> mutations{
      {"no nodes", [](auto& j) { j["nodes"] = nlohmann::json::array(); }},
      {"nodes is a text", [](auto& j) { j["nodes"] = "x"; }},
      {"unknown key", [](auto& j) { j["nodes"][1]["dilation"] = 2; }},
      {"unknown operation", [](auto& j) { j["nodes"][2]["op"] = "sigmoid"; }},
      {"huge dimension", [](auto& j) { j["nodes"][0]["shape"][1] = 65537; }},
      {"value of more than 2^26 elements",
       [](auto& j) {
         j["nodes"][0]["shape"] = {2, 65536, 65536};
       }},
      {"dimension beyond 64 bits", [](auto& j) { j["nodes"][0]["shape"][1] = 18446744073709551615ULL; }},
      {"zero channels", [](auto& j) { j["nodes"][1]["out"] = 0; }},
      {"negative input", [](auto& j) { j["nodes"][1]["inputs"][0] = -1; }},
      {"input from the future", [](auto& j) { j["nodes"][1]["inputs"][0] = 3; }},
      {"two inputs for one",
       [](auto& j) {
         j["nodes"][1]["inputs"] = {0, 0};
       }},
      {"fractional kernel", [](auto& j) { j["nodes"][1]["kernel"] = 3.5; }},
      {"huge kernel", [](auto& j) { j["nodes"][1]["kernel"] = 65; }},
      {"stride 0", [](auto& j) { j["nodes"][1]["stride"] = 0; }},
      {"groups that fit nothing", [](auto& j) { j["nodes"][3]["groups"] = 2; }},
      {"a second input node", [](auto& j) { j["nodes"].push_back(j["nodes"][0]); }},
      {"two layers of one name", [](auto& j) { j["nodes"][3]["name"] = "stem"; }},
      {"empty name", [](auto& j) { j["nodes"][1]["name"] = ""; }},
      {"name with a NUL", [](auto& j) { j["nodes"][1]["name"] = std::string("a\0b", 3); }},
      {"name with a line break", [](auto& j) { j["nodes"][1]["name"] = "a\nb"; }},
      {"operands of different shapes", [](auto& j) { j["nodes"][5]["out"] = 8; }},
      {"no classifier at the end", [](auto& j) { j["nodes"].erase(j["nodes"].size() - 1); }},
      {"the input read twice", [](auto& j) { j["nodes"][3]["inputs"][0] = 0; }},
  };
  network_from_json(good);
  for (const auto& [what, mutate] : mutations) {
    INFO(std::string(what));
    nlohmann::json bad = good;
    mutate(bad);
    CHECK(code_of([&] { network_from_json(bad); }) == ExitCode::kData);
  }
}

TEST_CASE("core/network: a Linear layer on a picture is refused") {
  Network network;
  const int x = network.conv("stem", network.input({1, 8, 8}), 8, 3);
  CHECK(code_of([&] { network.linear("classifier", x, 2); }) == ExitCode::kData);
}
