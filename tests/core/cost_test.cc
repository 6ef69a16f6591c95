#include "runtime/core/cost.h"

#include <doctest/doctest.h>

#include "runtime/core/error.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::sample_network;

TEST_CASE("core/cost: BOPs of a uniform configuration are MACs times both widths, stem and classifier at 8") {
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, {2, 3, 8});
  const CostTable table = bops_table(network, space);
  const std::int64_t ends = network.macs(0) + network.macs(7);
  CHECK(table.cost(uniform_config(space, 2, 3)) ==
        doctest::Approx((network.macs() - ends) * 6.0 + ends * 64.0).epsilon(1e-12));
  CHECK(table.reference() == doctest::Approx(network.macs() * 64.0).epsilon(1e-12));
  CHECK(table.cost(uniform_config(space, 8, 8)) == doctest::Approx(table.reference()).epsilon(1e-12));
  CHECK(float_bops(network) == network.macs() * 1024.0);
  CHECK(table.stem_cost() == network.macs(0) * 64.0);
  CHECK(table.cost_after_stem(uniform_config(space, 2, 2)) ==
        doctest::Approx(table.cost(uniform_config(space, 2, 2)) - network.macs(0) * 64.0));
}

TEST_CASE("core/cost: half of the filters cost a quarter of an ordinary layer and half of a depthwise one") {
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, {8});
  const CostTable table = bops_table(network, space);
  const BitConfig full = uniform_config(space, 8, 8), half = uniform_config(space, 8, 8, 0.5);
  CHECK(table.layer_cost(0, half) == table.layer_cost(0, full));                       // the stem is computed whole
  CHECK(table.layer_cost(1, half) == doctest::Approx(table.layer_cost(1, full) / 4));  // its readers take half of it
  CHECK(table.layer_cost(3, half) == doctest::Approx(table.layer_cost(3, full) / 4));
  CHECK(table.layer_cost(4, half) == doctest::Approx(table.layer_cost(4, full) / 2));  // depthwise
  CHECK(table.layer_cost(7, half) == doctest::Approx(table.layer_cost(7, full) / 2));  // classifier: input alone
}

TEST_CASE("core/cost: active channels of the network and of the table agree in every layer") {
  const Network network = sample_network(12);
  const BitSpace space = make_bit_space(network, {2, 4});
  const CostTable table = bops_table(network, space);
  for (const double width : {0.2, 0.5, 1.0}) {
    const BitConfig config = uniform_config(space, 4, 2, width);
    for (int l = 0; l < network.layer_count(); ++l) {
      const LayerBits& bits = config[static_cast<std::size_t>(l)];
      const double out = network.fixed(l) ? 1.0
                                          : static_cast<double>(network.active_out(l, config, space)) /
                                                network.layer(l).shape.channels;
      const double in = network.depthwise(l)
                            ? 1.0
                            : static_cast<double>(network.active_in(l, config, space)) / network.in_channels(l);
      CHECK(table.layer_cost(l, config) ==
            doctest::Approx(static_cast<double>(network.macs(l)) * bits.weight * bits.activation * out * in));
    }
  }
}

TEST_CASE("core/cost: bytes count the weights alone") {
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, {2, 8});
  const CostTable table = bytes_table(network, space);
  CHECK(table.unit() == "bytes");
  CHECK(table.at(1, 2, 8, 2) == 16 * 16 * 9 * 2 / 8.0);
  CHECK(table.at(1, 2, 2, 1) == 8 * 16 * 9 * 2 / 8.0);
}

TEST_CASE("core/cost: a measured table is filled by its owner and keeps its own reference") {
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, {2, 8});
  CostTable table("ms", network, space);
  CHECK(table.reference() == 0);
  for (int l = 0; l < network.layer_count(); ++l)
    table.at(l, 8, 8, space.layers[static_cast<std::size_t>(l)].blocks) = 0.5;
  CHECK(table.reference() == doctest::Approx(4.0));
  CHECK(table.cost(uniform_config(space, 8, 8)) == doctest::Approx(4.0));
}

TEST_CASE("core/cost: the fixed part of a time stays however few channels are read") {
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, {8});
  CostTable table("ms", network, space);
  const BitConfig full = uniform_config(space, 8, 8), half = uniform_config(space, 8, 8, 0.5);
  for (int l = 0; l < network.layer_count(); ++l)
    for (const BitConfig* config : {&full, &half}) {
      const int blocks = (*config)[static_cast<std::size_t>(l)].active_blocks;
      table.at(l, 8, 8, blocks) = blocks == full[static_cast<std::size_t>(l)].active_blocks ? 1.0 : 0.6;
      table.fixed_part(l, 8, 8, blocks) = 0.2;
    }
  CHECK(table.narrows(1));
  CHECK(!table.narrows(0));
  CHECK(!table.narrows(4));  // depthwise
  CHECK(table.layer_cost(1, full) == doctest::Approx(1.0));
  CHECK(table.layer_cost(1, half) == doctest::Approx(0.2 + (0.6 - 0.2) / 2));
  CHECK(table.layer_cost(4, half) == doctest::Approx(0.6));
  CHECK(table.layer_cost(7, half) == doctest::Approx(0.2 + (1.0 - 0.2) / 2));  // classifier: input alone
  CHECK(bops_table(network, space).fixed_part(1, 8, 8, 1) == 0);
}

TEST_CASE("core/cost: what is not in the table is our own fault") {
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, {2, 8});
  const CostTable table = bops_table(network, space);
  CHECK_THROWS_AS(table.at(1, 9, 8, 1), Error);
  CHECK_THROWS_AS(table.at(1, 8, 1, 1), Error);
  CHECK_THROWS_AS(table.at(1, 8, 8, 3), Error);
  CHECK_THROWS_AS(table.at(8, 8, 8, 1), Error);
  CHECK_THROWS_AS(table.cost({}), Error);
  CHECK_THROWS_AS(CostTable("joule", network, space), Error);
}
