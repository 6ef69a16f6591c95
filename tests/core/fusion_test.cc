#include "runtime/core/fusion.h"

#include <doctest/doctest.h>

#include <functional>

#include "runtime/core/error.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::sample_network;

TEST_CASE("core/fusion: every layer is one step with its Add, ReLU and pool") {
  const Network network = sample_network();
  const std::vector<FusedStep> steps = fuse(network);
  REQUIRE(steps.size() == 8);
  for (int l = 0; l < 8; ++l) {
    CHECK(steps[static_cast<std::size_t>(l)].layer == l);
    CHECK(steps[static_cast<std::size_t>(l)].conv_node == network.layer_node(l));
  }
  const FusedStep& stem = steps[0];
  CHECK(stem.source == -1);
  CHECK(stem.relu);
  CHECK(stem.carry);
  CHECK(stem.readers == std::vector<int>{1});
  const FusedStep& joined = steps[2];  // block1.conv2 with the identity of the stem
  CHECK(joined.source == 1);
  CHECK(joined.add_operand == 0);
  CHECK(joined.relu);
  CHECK_FALSE(joined.carry);
  CHECK(joined.readers == std::vector<int>{3, 4});
  const FusedStep& projection = steps[3];
  CHECK(projection.carry);
  CHECK_FALSE(projection.relu);
  CHECK(projection.readers.empty());
  const FusedStep& pooled = steps[5];  // pointwise + shortcut, ReLU, max pool
  CHECK(pooled.add_operand == 3);
  CHECK(pooled.pool_node >= 0);
  CHECK(pooled.value_shape == Shape{32, 6, 6});
  CHECK(pooled.out_shape == Shape{32, 3, 3});
  CHECK(steps[6].out_shape == Shape{32, 1, 1});  // global average pool
  CHECK(steps[6].readers == std::vector<int>{7});
  CHECK(steps[7].readers.empty());
  CHECK(steps[7].source == 6);
}

TEST_CASE("core/fusion: a linear bottleneck is a carry and a code without ReLU") {
  Network network;
  const int stem = network.relu(network.conv("stem", network.input({1, 8, 8}), 8, 3));
  const int first = network.conv("project1", stem, 8, 1);
  const int inner = network.relu(network.conv("expand", first, 16, 1));
  const int sum = network.add(first, network.conv("project2", inner, 8, 1));
  const int head = network.relu(network.conv("head", sum, 16, 1));
  network.linear("classifier", network.global_avg_pool(head), 2);
  network.finish();
  const std::vector<FusedStep> steps = fuse(network);
  CHECK(steps[0].carry);  // the stem always writes one, although no Add reads it here
  CHECK(steps[1].carry);
  CHECK(steps[1].readers == std::vector<int>{2});
  CHECK_FALSE(steps[1].relu);
  CHECK(steps[3].add_operand == 1);
  CHECK_FALSE(steps[3].relu);
  CHECK_FALSE(steps[3].carry);
}

TEST_CASE("core/fusion: graphs that the runtime cannot run are refused") {
  using Build = std::function<int(Network&, int)>;  // from the stem's ReLU to what the average pool reads
  const std::vector<std::pair<const char*, Build>> graphs{
      {"the later operand is no convolution",
       [](Network& n, int x) { return n.relu(n.add(n.conv("a", x, 8, 3), n.relu(n.conv("b", x, 8, 3)))); }},
      {"the main branch is the first operand",
       [](Network& n, int x) { return n.relu(n.add(n.conv("a", x, 8, 3), x)); }},
      {"the first operand is computed later",
       [](Network& n, int x) {
         const int later = n.conv("a", x, 8, 3), first = n.conv("b", x, 8, 3);
         return n.relu(n.add(first, later));
       }},
      {"a value plus itself",
       [](Network& n, int x) {
         const int a = n.conv("a", x, 8, 3);
         return n.relu(n.add(a, a));
       }},
      {"two pools in a row",
       [](Network& n, int x) { return n.max_pool(n.max_pool(n.relu(n.conv("a", x, 8, 3)), 2, 2, 0), 2, 2, 0); }},
      {"ReLU behind ReLU", [](Network& n, int x) { return n.relu(n.relu(n.conv("a", x, 8, 3))); }},
      {"ReLU behind a pool", [](Network& n, int x) { return n.relu(n.max_pool(n.conv("a", x, 8, 3), 2, 2, 0)); }},
      {"a value that nobody reads",
       [](Network& n, int x) {
         n.relu(n.conv("a", x, 8, 3));
         return n.relu(n.conv("b", x, 8, 3));
       }},
      {"read before and behind its ReLU",
       [](Network& n, int x) {
         const int a = n.conv("a", x, 8, 3);
         return n.relu(n.add(a, n.conv("b", n.relu(a), 8, 3)));
       }},
  };
  for (const auto& [what, build] : graphs) {
    INFO(std::string(what));
    Network network;
    const int stem = network.relu(network.conv("stem", network.input({1, 8, 8}), 8, 3));
    network.linear("classifier", network.global_avg_pool(build(network, stem)), 2);
    network.finish();
    CHECK_THROWS_AS(fuse(network), Error);
  }
}

TEST_CASE("core/fusion: only a Linear layer may read an average") {
  Network network;
  const int stem = network.relu(network.conv("stem", network.input({1, 8, 8}), 8, 3));
  const int squeezed = network.relu(network.conv("squeeze", network.global_avg_pool(stem), 8, 1));
  network.linear("classifier", squeezed, 2);
  network.finish();
  CHECK_THROWS_AS(fuse(network), Error);
}
