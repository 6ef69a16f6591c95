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
