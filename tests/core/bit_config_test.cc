#include <doctest/doctest.h>

#include "runtime/core/error.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::sample_network;

namespace {

bool refused(const Network& network, const BitSpace& space, const BitConfig& config) {
  try {
    check_config(network, space, config);
  } catch (const Error& error) {
    return error.code == ExitCode::kData;
  }
  return false;
}

}  // namespace

TEST_CASE("core/bit_config: stem and classifier stay at 8 bits and whole in every uniform configuration") {
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, {8, 2, 4, 2});
  CHECK(space.layers[1].bits == std::vector<int>{2, 4, 8});
  CHECK(space.layers[0].bits == std::vector<int>{8});
  CHECK(space.layers[0].fixed);
  CHECK(space.layers.back().fixed);
  for (const double width : {0.1, 0.25, 0.5, 0.75, 1.0}) {
    const BitConfig config = uniform_config(space, 2, 4, width);
    CHECK_FALSE(refused(network, space, config));
    CHECK(config.front() == LayerBits{8, 8, 2});
    CHECK(config.back() == LayerBits{8, 8, 1});
    CHECK(config[1] == LayerBits{2, 4, width > 0.5 ? 2 : 1});
    CHECK(config[3].active_blocks == static_cast<int>(std::ceil(4 * width)));
  }
}

TEST_CASE("core/bit_config: widths are rounded up to whole blocks, but not by binary noise") {
  const Network network = sample_network(200);
  const BitSpace space = make_bit_space(network, {4});
  REQUIRE(space.layers[1].blocks == 25);
  CHECK(uniform_config(space, 4, 4, 0.04)[1].active_blocks == 1);
  CHECK(uniform_config(space, 4, 4, 0.28)[1].active_blocks == 7);  // 0.28 * 25 is 7.000000000000001 in binary
  CHECK(uniform_config(space, 4, 4, 0.29)[1].active_blocks == 8);
  CHECK_THROWS_AS(uniform_config(space, 4, 4, 0), Error);
  CHECK_THROWS_AS(uniform_config(space, 4, 4, 1.01), Error);
}

TEST_CASE("core/bit_config: wrong configurations are refused") {
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, {2, 8});
  const BitConfig good = uniform_config(space, 2, 2);
  CHECK_FALSE(refused(network, space, good));
  BitConfig bad = good;
  bad.pop_back();
  CHECK(refused(network, space, bad));
  for (const LayerBits wrong : {LayerBits{1, 8, 2}, LayerBits{9, 8, 2}, LayerBits{8, 1, 2}, LayerBits{8, 9, 2},
                                LayerBits{8, 8, 0}, LayerBits{8, 8, 3}}) {
    bad = good;
    bad[1] = wrong;
    CHECK(refused(network, space, bad));
  }
  bad = good;
  bad[2].active_blocks = 1;  // shares its filters with the depthwise layer 4
  CHECK(refused(network, space, bad));
  bad[4].active_blocks = 1;
  CHECK_FALSE(refused(network, space, bad));
  bad = good;
  bad[0].weight = 4;
  CHECK(refused(network, space, bad));
  bad = good;
  bad[0].active_blocks = 1;
  CHECK(refused(network, space, bad));
}

TEST_CASE("core/bit_config: bits outside 2..8 and odd blocks are no space") {
  const Network network = sample_network();
  CHECK_THROWS_AS(make_bit_space(network, {}), Error);
  CHECK_THROWS_AS(make_bit_space(network, {1, 8}), Error);
  CHECK_THROWS_AS(make_bit_space(network, {2, 9}), Error);
  CHECK_THROWS_AS(make_bit_space(network, {2}, 4), Error);
  CHECK(make_bit_space(network, {2}, 16).layers[3].blocks == 2);
}

TEST_CASE("core/bit_config: the short form names bits and blocks of the adaptive layers") {
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, {2, 4, 8});
  CHECK(to_string(uniform_config(space, 4, 2), space) == "4/2");
  CHECK(to_string(uniform_config(space, 4, 4, 0.5), space) == "4/4x1 4/4x1 4/4x2 4/4x1 4/4x2 4/4x2");
  BitConfig mixed = uniform_config(space, 2, 2);
  mixed[6] = {8, 4, 4};
  CHECK(to_string(mixed, space) == "2/2 2/2 2/2 2/2 2/2 8/4");
}
