#include "quant/filter_order.h"

#include <doctest/doctest.h>

#include "quant/training_loop.h"
#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "tests/support/toy_training.h"

using namespace bitpilot;
using torch::Tensor;

TEST_CASE("quant/filter_order: filters put in another order compute the same, and a narrow path refuses it") {
  const Network network = resnet8({1, 12, 12}, 5, 16);
  const BitSpace space = make_bit_space(network, {4, 8}, 8);
  const TrainingBatch batch = bitpilot::testing::toy_pictures(40, 5);
  QuantizedNetwork start(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 3);
  QuantizedNetwork full(network, space, {{"u8", uniform_config(space, 8, 8)}, {"u4", uniform_config(space, 4, 4)}}, /*quantized=*/true, 3);
  full.start_from(start, batch.src);
  TrainingLoop loop(&full, nullptr, 10, {});
  for (int i = 0; i < 10; ++i) loop.step(batch, {});
  std::vector<Tensor> orders;
  for (int l = 0; l < network.layer_count(); ++l) {
    const std::int64_t out = network.layer(l).shape.channels;
    orders.push_back((torch::arange(out) + 3) % out);  // all layers of a width group alike
  }
  const auto first_filter = [&] {
    for (const auto& [name, tensor] : full.parameters())
      if (name == "block2.conv1.weight") return tensor.detach()[0].clone();
    return Tensor();
  };
  const Tensor before = evaluate(&full, 0, batch.src), of_u4 = evaluate(&full, 1, batch.src), filter = first_filter();
  order_filters(&full, orders);
  CHECK_FALSE(torch::equal(first_filter(), filter));
  CHECK(torch::allclose(evaluate(&full, 0, batch.src), before, 1e-2, 1e-2));
  CHECK((evaluate(&full, 1, batch.src) - of_u4).abs().mean().item<double>() < 0.02 * of_u4.std().item<double>());
  QuantizedNetwork narrow(network, space, {{"half", uniform_config(space, 8, 8, 0.5)}}, /*quantized=*/true, 3);
  CHECK_THROWS_WITH_AS(order_filters(&narrow, orders), doctest::Contains("narrow path"), Error);
}

TEST_CASE("quant/filter_order: a supernet starts with the filters first that weigh most in what reads them") {
  const Network network = resnet8({1, 12, 12}, 5, 16);
  const BitSpace space = make_bit_space(network, {4, 8}, 8);
  QuantizedNetwork start(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 3);
  // block2.conv1 stands alone in its width group, and block2.conv2 alone reads it: filter i of 32 weighs (7 i + 5) mod 32.
  const auto named = [](const QuantizedNetwork& of, const std::string& name) {
    for (const NamedTensors& tensors : {of.parameters(), of.buffers()})
      for (const auto& [found, tensor] : tensors)
        if (found == name) return tensor.detach();
    return Tensor();
  };
  const Tensor weights = named(start, "block2.conv1.weight"), readers = named(start, "block2.conv2.weight"), gamma = named(start, "path.float.block2.conv1.gamma");
  REQUIRE(weights.defined());
  REQUIRE(readers.defined());
  REQUIRE(gamma.defined());
  const std::int64_t filters = weights.size(0);
  REQUIRE(filters == 32);
  std::vector<std::int64_t> by_importance(static_cast<std::size_t>(filters));
  for (std::int64_t i = 0; i < filters; ++i) {
    const std::int64_t importance = (7 * i + 5) % filters;
    by_importance[static_cast<std::size_t>(filters - 1 - importance)] = i;
    // By neither the scale of the normalisation nor the readers alone, and by the size of both, not their sign.
    const double scale = 1.0 + static_cast<double>((11 * i + 3) % filters);
    gamma[i].fill_(i % 2 == 0 ? scale : -scale);
    readers.select(1, i).fill_((1.0 + static_cast<double>(importance)) / (i % 3 == 0 ? scale : -scale));
    weights[i].fill_(0.01 * static_cast<double>(i + 1));  // tells which filter it was; weighs nothing
  }
  QuantizedNetwork full(network, space, {{"u8", uniform_config(space, 8, 8)}}, /*quantized=*/true, 3);
  full.start_from(start, bitpilot::testing::toy_pictures(40, 5).src);
  const Tensor sorted = named(full, "block2.conv1.weight");
  for (std::size_t place = 0; place < by_importance.size(); ++place) {
    CAPTURE(place);
    CHECK(sorted[static_cast<std::int64_t>(place)][0][0][0].item<double>() == doctest::Approx(0.01 * static_cast<double>(by_importance[place] + 1)));
  }
}
