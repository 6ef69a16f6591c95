#include "quant/quantized_network.h"

#include <doctest/doctest.h>

#include <map>

#include "quant/export.h"
#include "quant/training_loop.h"
#include "runtime/core/backbones.h"
#include "runtime/core/error.h"

using namespace bitpilot;
using torch::Tensor;

namespace {

const ForwardMode kEvaluation{/*batch_statistics=*/false, /*momentum=*/0};

struct Nets {
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {2, 3, 4, 8}, 8);
  QuantizedNetwork float_network{network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 7};
  QuantizedNetwork supernet{network, space,
                            {{"full8", uniform_config(space, 8, 8)}, {"u2", uniform_config(space, 2, 2)}, {"half8", uniform_config(space, 8, 8, 0.5)}},
                            /*quantized=*/true, 7};
};

TrainingBatch toy_batch(int count, int classes) {
  torch::manual_seed(11);
  TrainingBatch batch{torch::rand({count, 1, 12, 12}), torch::empty({count}, torch::kLong)};
  for (int i = 0; i < count; ++i) {
    batch.labels[i] = i % classes;
    batch.src[i][0].narrow(0, 2 * (i % classes), 2).add_(0.8);  // a bright band tells the class
  }
  return batch;
}

std::vector<double> train(QuantizedNetwork* network, QuantizedNetwork* teacher, int steps, int threads, int random_paths = 0,
                          std::vector<int> paths = {}) {
  TrainingOptions options;
  options.paths = std::move(paths);
  options.threads = threads;
  options.learning_rate = 3e-3;
  options.random_paths = random_paths;
  TrainingLoop loop(network, teacher, steps, options);
  const TrainingBatch batch = toy_batch(40, 5);
  std::vector<double> losses;
  for (int i = 0; i < steps; ++i) losses = loop.step(batch, batch);
  return losses;
}

}  // namespace

TEST_CASE("quant/quantized_network: a float network learns a toy problem and its supernet starts near it") {
  Nets nets;
  CHECK(train(&nets.float_network, nullptr, 40, 2)[0] < 0.3);
  const TrainingBatch batch = toy_batch(40, 5);
  nets.supernet.start_from(nets.float_network, batch.src);
  // The 8-bit whole path with running averages is the float network with its filters reordered, up to rounding.
  const Tensor expected = evaluate(&nets.float_network, 0, batch.src), got = evaluate(&nets.supernet, 0, batch.src);
  CHECK((expected.argmax(1) == got.argmax(1)).to(torch::kFloat).mean().item<double>() > 0.9);
  const double before = torch::nll_loss(torch::log_softmax(evaluate(&nets.supernet, 1, batch.src), 1), batch.labels).item<double>();
  train(&nets.supernet, &nets.float_network, 40, 2);
  const double after = torch::nll_loss(torch::log_softmax(nets.supernet.forward(1, nets.supernet.stem(batch.src, {true, 0}), {true, 0}), 1), batch.labels).item<double>();
  CHECK(after < before);
  CHECK(after < 0.8);
}

TEST_CASE("quant/quantized_network: training gives the same bits on one thread and on three") {
  std::vector<Tensor> weights;
  for (const int threads : {1, 3}) {
    Nets nets;
    nets.supernet.start_from(nets.float_network, toy_batch(40, 5).src);
    train(&nets.supernet, &nets.float_network, 4, threads, /*random_paths=*/2);
    weights.push_back(nets.supernet.parameters()[0].second.detach().clone());
    weights.push_back(nets.supernet.parameters().back().second.detach().clone());
  }
  CHECK(torch::equal(weights[0], weights[2]));
  CHECK(torch::equal(weights[1], weights[3]));
}

TEST_CASE("quant/quantized_network: a half-width path neither reads nor trains the other filters") {
  Nets nets;
  nets.supernet.start_from(nets.float_network, toy_batch(40, 5).src);
  const Tensor src = toy_batch(8, 5).src;
  const Tensor before = evaluate(&nets.supernet, 2, src), full = evaluate(&nets.supernet, 0, src);
  for (const auto& [name, tensor] : nets.supernet.parameters())
    if (name == "block2.conv2.weight") tensor.detach().narrow(0, 16, 16).add_(1.0);
  CHECK(torch::equal(before, evaluate(&nets.supernet, 2, src)));
  CHECK_FALSE(torch::equal(full, evaluate(&nets.supernet, 0, src)));
}

TEST_CASE("quant/quantized_network: every path has its own normalisation") {
  Nets nets;
  nets.supernet.start_from(nets.float_network, toy_batch(40, 5).src);
  const Tensor src = toy_batch(8, 5).src, before = evaluate(&nets.supernet, 0, src);
  for (const auto& [name, tensor] : nets.supernet.buffers())
    if (name.starts_with("path.u2.")) tensor.mul_(2);
  CHECK(torch::equal(before, evaluate(&nets.supernet, 0, src)));
}

TEST_CASE("quant/quantized_network: with another path's normalisation a trained path loses accuracy") {
  Nets nets;
  train(&nets.float_network, nullptr, 40, 2);
  const TrainingBatch batch = toy_batch(40, 5);
  nets.supernet.start_from(nets.float_network, batch.src);
  train(&nets.supernet, &nets.float_network, 60, 2);
  recalibrate(&nets.supernet, [&](const std::function<void(const Tensor&)>& use) { use(batch.src); });
  const auto accuracy = [&](int path) {
    return (evaluate(&nets.supernet, path, batch.src).argmax(1) == batch.labels).to(torch::kFloat).mean().item<double>();
  };
  const double own = accuracy(1);
  CHECK(own > 0.9);
  std::map<std::string, Tensor> buffers;
  for (const auto& [name, tensor] : nets.supernet.buffers()) buffers.emplace(name, tensor);
  const std::string from = "path.full8.", to = "path.u2.";
  int swapped = 0;
  for (auto& [name, tensor] : buffers) {
    if (!name.starts_with(to)) continue;
    const Tensor kept = tensor.clone(), other = buffers.at(from + name.substr(to.size()));
    tensor.copy_(other);
    other.copy_(kept);
    ++swapped;
  }
  CHECK(swapped > 0);
  MESSAGE("2 bits with their own normalisation ", own, ", with that of 8 bits ", accuracy(1));
  CHECK(accuracy(1) < own - 0.1);
}

TEST_CASE("quant/quantized_network: a configuration no wider than a path runs, scales stay positive") {
  Nets nets;
  nets.supernet.start_from(nets.float_network, toy_batch(40, 5).src);
  BitConfig mixed = uniform_config(nets.space, 2, 2);
  mixed[1].weight = 4;
  mixed[2].activation = 3;
  const Tensor src = toy_batch(16, 5).src;
  const Tensor scores = nets.supernet.forward_config(mixed, nets.supernet.stem(src, kEvaluation));
  CHECK(scores.isfinite().all().item<bool>());
  for (const auto& [name, tensor] : nets.supernet.parameters())
    if (name.ends_with(".gamma")) tensor.detach().sub_(10);
  nets.supernet.constrain();
  for (const auto& [name, tensor] : nets.supernet.parameters())
    if (name.ends_with(".gamma")) CHECK(tensor.min().item<double>() > 0);
}

TEST_CASE("quant/quantized_network: every backbone trains a step and runs") {
  struct Case { const char* name; Shape input; };
  for (const Case& c : {Case{"resnet20", {3, 16, 16}}, Case{"ds_cnn", {1, 28, 28}}, Case{"resnet18", {3, 64, 64}},
                        Case{"mobilenet_v2", {3, 32, 32}}, Case{"person_net", {3, 96, 96}}}) {
    INFO(std::string(c.name));
    const Network network = make_backbone(c.name, c.input, 3);
    const BitSpace space = make_bit_space(network, {2, 4, 8}, 8);
    QuantizedNetwork float_network(network, space, {{"float", uniform_config(space, 8, 8)}}, false, 1);
    QuantizedNetwork supernet(network, space, {{"u4", uniform_config(space, 4, 4)}, {"half8", uniform_config(space, 8, 8, 0.5)}}, true, 1);
    torch::manual_seed(2);
    const TrainingBatch batch{torch::rand({8, c.input.channels, c.input.height, c.input.width}), torch::tensor({0, 1, 2, 0, 1, 2, 0, 1}, torch::kLong)};
    const ForwardMode adopt{/*batch_statistics=*/true, /*momentum=*/1};  // an untrained deep net explodes without its statistics
    float_network.forward(0, float_network.stem(batch.src, adopt), adopt);
    supernet.start_from(float_network, batch.src);
    TrainingLoop loop(&supernet, &float_network, 2, {});
    const Tensor before = supernet.parameters()[0].second.detach().clone();
    for (const double loss : loop.step(batch, {})) CHECK(std::isfinite(loss));
    CHECK_FALSE(torch::equal(before, supernet.parameters()[0].second));
    const ForwardMode batch_mode{/*batch_statistics=*/true, /*momentum=*/0};
    CHECK(supernet.forward(1, supernet.stem(batch.src, batch_mode), batch_mode).isfinite().all().item<bool>());
  }
}

TEST_CASE("quant/training_loop: a loss that is not finite stops training before anything changes") {
  Nets nets;
  TrainingLoop loop(&nets.float_network, nullptr, 10, {});
  TrainingBatch batch = toy_batch(8, 5);
  batch.src[0][0][0][0] = std::numeric_limits<float>::quiet_NaN();
  const Tensor before = nets.float_network.parameters()[0].second.detach().clone();
  CHECK_THROWS_AS(loop.step(batch, {}), Error);
  CHECK(torch::equal(before, nets.float_network.parameters()[0].second));
}

TEST_CASE("quant/fractional_forward: whole bits give the path itself, a fraction lies between, gradients match differences") {
  Nets nets;
  const TrainingBatch batch = toy_batch(12, 5);
  nets.supernet.start_from(nets.float_network, batch.src);
  const ForwardMode adopt{/*batch_statistics=*/true, /*momentum=*/1};
  for (int p = 0; p < 3; ++p) nets.supernet.forward(p, nets.supernet.stem(batch.src, adopt), adopt);
  const Tensor stem = nets.supernet.stem(batch.src, kEvaluation).detach();
  const int layers = nets.network.layer_count(), last = layers - 1;
  for (int p = 0; p < 3; ++p) {
    Tensor bits = torch::empty({12, layers, 2});
    for (int l = 0; l < layers; ++l) {
      bits.select(1, l).select(1, 0).fill_(nets.supernet.paths()[p].config[l].weight);
      bits.select(1, l).select(1, 1).fill_(nets.supernet.paths()[p].config[l].activation);
    }
    const Tensor expected = nets.supernet.forward(p, stem, kEvaluation).detach();
    CHECK(torch::allclose(nets.supernet.forward_fractional(p, stem, bits), expected, 1e-3, 1e-3));
    if (p != 1) continue;
    // The last adaptive layer is followed by exact float arithmetic up to the 8-bit rounding of its value: its weight bits mix linearly
    // before that, so a difference quotient inside one interval agrees with the gradient in sign for almost all pictures.
    Tensor at = bits.clone();
    at.select(1, last - 1).select(1, 0).fill_(2.5);
    at.set_requires_grad(true);
    const auto loss = [&](const Tensor& b) {
      return torch::nll_loss(torch::log_softmax(nets.supernet.forward_fractional(p, stem, b), 1), batch.labels, {}, at::Reduction::None);
    };
    loss(at).sum().backward();
    const Tensor gradient = at.grad().select(1, last - 1).select(1, 0);
    Tensor up = at.detach().clone(), down = at.detach().clone();
    up.select(1, last - 1).select(1, 0).add_(0.2);
    down.select(1, last - 1).select(1, 0).sub_(0.2);
    const Tensor difference = (loss(up) - loss(down)) / 0.4;
    CHECK(gradient.abs().max().item<double>() > 0);
    CHECK(((gradient * difference > 0).to(torch::kFloat).mean().item<double>()) >= 0.9);
  }
  // Nothing of the network is trained by the policy's gradient.
  for (const auto& [name, tensor] : nets.supernet.parameters()) CHECK_FALSE(tensor.grad().defined());
}

TEST_CASE("quant/quantized_network: a held path gives the same scores to the bit while wider codes and free filters learn") {
  Nets nets;
  train(&nets.float_network, nullptr, 30, 1);
  nets.supernet.start_from(nets.float_network, toy_batch(40, 5).src);
  const Tensor src = toy_batch(16, 5).src;
  const ForwardMode batch{/*batch_statistics=*/true, /*momentum=*/0};
  const auto scores = [&](int path) { return nets.supernet.forward(path, nets.supernet.stem(src, batch), batch).detach(); };
  const int full8 = 0, u2 = 1, half8 = 2;

  SUBCASE("2 bits held, 8 bits trained") {
    train(&nets.supernet, &nets.float_network, 10, 1, 0, {u2});
    const Tensor held = scores(u2), free = scores(full8);
    nets.supernet.hold({u2});
    CHECK(torch::equal(held, scores(u2)));
    const double before = train(&nets.supernet, &nets.float_network, 1, 1, 0, {full8})[0];
    const double after = train(&nets.supernet, &nets.float_network, 30, 2, 0, {full8, half8})[0];
    CHECK(after < before);
    CHECK(torch::equal(held, scores(u2)));
    CHECK_FALSE(torch::equal(free, scores(full8)));
    nets.supernet.hold({});
    train(&nets.supernet, &nets.float_network, 10, 1, 0, {full8});
    CHECK_FALSE(torch::equal(held, scores(u2)));
  }
  SUBCASE("half the filters held, all of them trained at 2 bits") {
    train(&nets.supernet, &nets.float_network, 10, 1, 0, {half8});
    const Tensor held = scores(half8), free = scores(u2);
    nets.supernet.hold({half8});
    train(&nets.supernet, &nets.float_network, 20, 2, 0, {u2});
    CHECK(torch::equal(held, scores(half8)));
    CHECK_FALSE(torch::equal(free, scores(u2)));
  }
}

TEST_CASE("quant/quantized_network: a new path takes over the normalisation of a trained one with the same filters") {
  Nets nets;
  nets.supernet.start_from(nets.float_network, toy_batch(40, 5).src);
  train(&nets.supernet, &nets.float_network, 5, 1, 0, {1});
  const auto named = [&](const std::string& name) {
    for (const auto& [key, tensor] : nets.supernet.parameters())
      if (key == name) return tensor.detach().clone();
    return Tensor();
  };
  const Tensor half = named("path.half8.block1.conv1.gamma");
  REQUIRE(half.defined());
  REQUIRE_FALSE(torch::equal(named("path.full8.block1.conv1.gamma"), named("path.u2.block1.conv1.gamma")));
  nets.supernet.continue_paths({1}, {0, 2});
  CHECK(torch::equal(named("path.full8.block1.conv1.gamma"), named("path.u2.block1.conv1.gamma")));
  CHECK(torch::equal(named("path.half8.block1.conv1.gamma"), half));
}
