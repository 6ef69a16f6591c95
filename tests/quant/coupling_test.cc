#include "quant/coupling.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "quant/training_loop.h"
#include "runtime/core/backbones.h"

using namespace bitpilot;
using torch::Tensor;

namespace {

const Tensor kUnitStep = torch::zeros({1});  // logarithm of an 8-bit step of 1: a code of b bits is 2^(8 - b) wide

/// Weights in the two interior bins of a 2-bit code (-1 and 0), `offset` steps of that code away from their middle.
Tensor interior(double offset, int count = 64) {
  Tensor w = torch::zeros({1, count});
  for (int i = 0; i < count; ++i) w[0][i] = 64.0 * (-(i % 2) + offset);
  return w;
}

struct Small {
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {2, 3, 4, 8}, 8);
  QuantizedNetwork supernet{network, space, {{"full8", uniform_config(space, 8, 8)}, {"u2", uniform_config(space, 2, 2)}}, /*quantized=*/true, 7};

  /// All weights on the middle of a code of every width.
  void settle() {
    torch::NoGradGuard guard;
    for (auto& [name, tensor] : supernet.parameters()) {
      if (name.ends_with(".log_step")) tensor.detach().zero_();
      if (name.ends_with(".weight")) tensor.detach().copy_(-64.0 * (tensor.detach() > 0).to(torch::kFloat));
    }
  }
  void disturb(const std::string& layer) {
    for (auto& [name, tensor] : supernet.parameters())
      if (name == layer + ".weight") tensor.detach().add_(64.0 * 0.45);
  }
  int layer(const std::string& name) const {
    for (int l = 0; l < network.layer_count(); ++l)
      if (network.layer(l).name == name) return l;
    return -1;
  }
};

TrainingBatch toy_batch() {
  torch::manual_seed(11);
  TrainingBatch batch{torch::rand({20, 1, 12, 12}), torch::empty({20}, torch::kLong)};
  for (int i = 0; i < 20; ++i) batch.labels[i] = i % 5;
  return batch;
}

/// Gradients of one step of the 8-bit path and one free 2-bit configuration whose layers `imitated` are drawn to the 8-bit path's.
NamedTensors gradients_with(const std::vector<int>& imitated, double weight) {
  Small small;
  const TrainingBatch batch = toy_batch();
  QuantizedNetwork float_network(small.network, small.space, {{"float", uniform_config(small.space, 8, 8)}}, /*quantized=*/false, 7);
  small.supernet.start_from(float_network, batch.src);
  TrainingOptions options;
  options.paths = {0};
  options.random_paths = 1;
  options.teaching = Teaching::kFirst;
  options.free_paths = [&](std::uint64_t) { return FreePath{uniform_config(small.space, 2, 2), nullptr, imitated}; };
  options.imitation = weight;
  NamedTensors seen;
  options.shape_gradients = [&](std::int64_t, const NamedTensors& parameters, std::vector<Tensor>* gradients) {
    for (std::size_t i = 0; i < parameters.size(); ++i)
      if ((*gradients)[i].defined()) seen.emplace_back(parameters[i].first, (*gradients)[i].clone());
  };
  TrainingLoop(&small.supernet, nullptr, 1, options).step(batch, {});
  return seen;
}

bool same(const NamedTensors& a, const NamedTensors& b, const std::string& prefix) {
  bool found = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i].first.starts_with(prefix)) continue;
    found = true;
    if (!torch::equal(a[i].second, b[i].second)) return false;
  }
  REQUIRE(found);
  return true;
}

}  // namespace

TEST_CASE("quant/coupling: turbulence is 0 at the middle of codes, 1 / b near their edges and a quarter of it in between") {
  CHECK(turbulence(interior(0), kUnitStep, {2, 3, 4, 8}) == 0);
  CHECK(turbulence(interior(0.45), kUnitStep, {2}) == doctest::Approx(1.0 / 2));
  CHECK(turbulence(interior(-0.45), kUnitStep, {2}) == doctest::Approx(1.0 / 2));
  CHECK(turbulence(interior(0.37), kUnitStep, {2}) == 0);
  // Uniform over the interior of the narrowest code: at every width the outer quarter of each half step counts.
  const Tensor even = torch::linspace(-96, 32, 100001).unsqueeze(0);
  const double mean = 0.25 * (1.0 / 2 + 1.0 / 3 + 1.0 / 4 + 1.0 / 8) / 4;
  CHECK(turbulence(even, kUnitStep, {2, 3, 4, 8}) == doctest::Approx(mean).epsilon(0.01));
}

TEST_CASE("quant/coupling: beyond the outermost codes no further code follows, and every filter has its own step") {
  CHECK(turbulence(torch::tensor({{500.0F, -500.0F, 64.0F * 1.45F, -64.0F * 2.45F}}), kUnitStep, {2}) == 0);
  CHECK(turbulence(torch::tensor({{64.0F * 0.55F, -64.0F * 1.55F}}), kUnitStep, {2}) == doctest::Approx(0.5));
  const Tensor steps = torch::tensor({0.0F, std::log(10.0F)});
  const Tensor rows = torch::cat({interior(0.45, 8), 10 * interior(0.45, 8)});
  CHECK(turbulence(rows, steps, {2}) == doctest::Approx(0.5));
  CHECK(turbulence(rows, torch::zeros({2}), {2}) < 0.5);
}

TEST_CASE("quant/coupling: the most turbulent layer is frozen for one event and then restored, its activations never") {
  Small small;
  small.settle();
  small.disturb("block3.shortcut");
  BitWidthScheduler scheduler(small.network, small.space, 16);
  CHECK_FALSE(scheduler.due(0));
  REQUIRE(scheduler.due(1));
  const int noisy = small.layer("block3.shortcut");
  const FreezeEvent first = scheduler.update(1, small.supernet.parameters());
  CHECK(first.turbulence[static_cast<std::size_t>(noisy)] == doctest::Approx(0.5 / 4));
  CHECK(first.frozen.size() == 4);  // half of eight adaptive layers
  CHECK(first.frozen.front() == noisy);
  CHECK(first.restored.empty());
  CHECK((scheduler.weights().layers[static_cast<std::size_t>(noisy)].bits == std::vector<int>{3, 4, 8}));
  // At 3, 4 and 8 bits the same weights stand on the middle of a code: nothing is left to freeze the layer for.
  const FreezeEvent second = scheduler.update(2, small.supernet.parameters());
  CHECK(second.turbulence[static_cast<std::size_t>(noisy)] == 0);
  CHECK(std::count(second.frozen.begin(), second.frozen.end(), noisy) == 0);
  CHECK(std::count(second.restored.begin(), second.restored.end(), noisy) == 1);
  for (const int l : first.frozen) {  // frozen again or restored, never both
    const auto again = std::count(second.frozen.begin(), second.frozen.end(), l), back = std::count(second.restored.begin(), second.restored.end(), l);
    CHECK(again + back == 1);
  }
  CHECK(second.restored.size() <= first.frozen.size());
  CHECK((scheduler.weights().layers[static_cast<std::size_t>(noisy)].bits == std::vector<int>{2, 3, 4, 8}));
}

TEST_CASE("quant/coupling: the ratio falls from a half to a fifth, events thin out, a restored state goes on alike") {
  Small small;
  BitWidthScheduler scheduler(small.network, small.space, 150);
  CHECK(scheduler.ratio(5) == doctest::Approx(0.5));
  CHECK(scheduler.ratio(80) == doctest::Approx(0.35));
  CHECK(scheduler.ratio(155) == doctest::Approx(0.2));
  std::vector<int> early, late;
  for (int epoch = 0; epoch < 150; ++epoch)
    if (scheduler.due(epoch)) (epoch < 108 ? early : late).push_back(epoch);
  CHECK((early.front() == 5 && early[1] == 7 && early.size() == 52));
  CHECK((late == std::vector<int>{119, 134, 149}));
  small.settle();
  small.disturb("block2.conv1");
  scheduler.update(5, small.supernet.parameters());
  BitWidthScheduler resumed(small.network, small.space, 150);
  for (std::size_t i = 0; i < scheduler.state().size(); ++i) resumed.state()[i].second.copy_(scheduler.state()[i].second);
  CHECK((resumed.weights() == scheduler.weights()));
  CHECK_FALSE((resumed.weights() == small.space));
}

TEST_CASE("quant/coupling: a depthwise layer gives up 3 bits, a dense one only 2") {
  const Network network = ds_cnn({1, 28, 28}, 5, 16);
  const BitSpace space = make_bit_space(network, {3, 4, 8}, 8);
  const QuantizedNetwork supernet(network, space, {{"full8", uniform_config(space, 8, 8)}}, /*quantized=*/true, 7);
  BitWidthScheduler scheduler(network, space, 16);
  const FreezeEvent event = scheduler.update(1, supernet.parameters());
  CHECK_FALSE(event.frozen.empty());
  for (const int l : event.frozen) CHECK(network.depthwise(l));
  for (int l = 0; l < network.layer_count(); ++l)
    if (!network.depthwise(l)) CHECK((scheduler.weights().layers[static_cast<std::size_t>(l)].bits == space.layers[static_cast<std::size_t>(l)].bits));
}

TEST_CASE("quant/training_loop: an imitated layer pulls at itself and what stands before it, at nothing behind it") {
  const int layer = Small().layer("block2.conv1");
  const NamedTensors none = gradients_with({}, 1.0), some = gradients_with({layer}, 1.0), off = gradients_with({layer}, 0.0);
  CHECK(same(none, off, ""));
  CHECK_FALSE(same(none, some, "block2.conv1.weight"));
  CHECK_FALSE(same(none, some, "block1.conv2.weight"));
  for (const char* behind : {"block2.conv2.", "block2.shortcut.", "block3.", "path.u2.block3.", "path.u2.block2.conv2."}) CHECK(same(none, some, behind));
  CHECK(same(none, some, "path.full8."));  // the teacher of the layer is not pulled
}

TEST_CASE("quant/training_loop: the pull is the weight times the sum over imitated layers of the mean squared distance to the first path's output") {
  Small small;
  const TrainingBatch batch = toy_batch();
  QuantizedNetwork float_network(small.network, small.space, {{"float", uniform_config(small.space, 8, 8)}}, /*quantized=*/false, 7);
  small.supernet.start_from(float_network, batch.src);
  const std::vector<int> layers{small.layer("block1.conv2"), small.layer("block2.conv1")};
  NormalizedOutputs pass, first;
  for (NormalizedOutputs* outputs : {&pass, &first}) {
    outputs->wanted.resize(static_cast<std::size_t>(small.network.layer_count()), false);
    for (const int l : layers) outputs->wanted[static_cast<std::size_t>(l)] = true;
  }
  const ForwardMode mode;
  const Tensor stem = small.supernet.stem(batch.src, mode).detach();
  small.supernet.forward(0, stem, mode, &first);
  small.supernet.forward_config(uniform_config(small.space, 2, 2), stem, nullptr, &pass);
  Tensor distance = torch::zeros({});
  for (const int l : layers) {
    const auto at = static_cast<std::size_t>(l);
    distance = distance + (pass.values[at] - first.values[at].detach()).square().mean();
  }
  CHECK(distance.item<double>() > 0.1);
  constexpr double kWeight = 0.3;
  const NamedTensors with = gradients_with(layers, kWeight), without = gradients_with(layers, 0);
  for (const char* name : {"block1.conv1.weight", "block1.conv2.weight", "block2.conv1.weight"}) {
    INFO(name);
    const auto named = [&](const NamedTensors& list) { return std::find_if(list.begin(), list.end(), [&](const auto& entry) { return entry.first == name; })->second; };
    const Tensor pull = kWeight * torch::autograd::grad({distance}, {named(small.supernet.parameters())}, {}, /*retain_graph=*/true).front();
    // Both are differences of float32 sums.
    CHECK(torch::allclose(named(with) - named(without), pull, /*rtol=*/1e-3, /*atol=*/1e-4 * pull.abs().max().item<double>()));
    CHECK(pull.abs().max().item<double>() > 1e-3);
  }
}

TEST_CASE("quant/training_loop: with the first path as teacher every other one learns from the labels and from its distribution") {
  Small small;
  const TrainingBatch batch = toy_batch();
  QuantizedNetwork float_network(small.network, small.space, {{"float", uniform_config(small.space, 8, 8)}}, /*quantized=*/false, 7);
  small.supernet.start_from(float_network, batch.src);
  const std::vector<FreePath> free{{uniform_config(small.space, 3, 4), nullptr, {}}, {uniform_config(small.space, 2, 2), nullptr, {}}};
  const ForwardMode mode{/*batch_statistics=*/true, /*momentum=*/0};
  const Tensor stem = small.supernet.stem(batch.src, mode);
  const Tensor scores[] = {small.supernet.forward(0, stem, mode), small.supernet.forward_config(free[0].config, stem), small.supernet.forward_config(free[1].config, stem)};
  TrainingOptions options;
  options.paths = {0};
  options.random_paths = 2;
  options.label_share = 0.25;
  options.teaching = Teaching::kFirst;
  options.free_paths = [&](std::uint64_t index) { return free[index]; };
  const std::vector<double> losses = TrainingLoop(&small.supernet, nullptr, 1, options).step(batch, {});
  REQUIRE(losses.size() == 3);
  const Tensor labels = torch::one_hot(batch.labels, 5).to(torch::kFloat), first = torch::softmax(scores[0].detach(), 1);
  for (std::size_t j = 0; j < 3; ++j) {
    const Tensor target = j == 0 ? labels : 0.25 * labels + 0.75 * first;
    INFO("path ", j);
    CHECK(losses[j] == doctest::Approx(-(target * torch::log_softmax(scores[j].detach(), 1)).sum(1).mean().item<double>()).epsilon(1e-5));
  }
}

TEST_CASE("quant/training_loop: gradients are clipped by value, missing ones stay missing") {
  std::vector<Tensor> gradients{torch::tensor({-3.0F, 0.5F, 2.0F}), Tensor()};
  clip_gradients(1.0)(0, {}, &gradients);
  CHECK(torch::equal(gradients[0], torch::tensor({-1.0F, 0.5F, 1.0F})));
  CHECK_FALSE(gradients[1].defined());
}

TEST_CASE("quant/quantized_network: a found path runs as the free configuration did") {
  Small small;
  const TrainingBatch batch = toy_batch();
  QuantizedNetwork float_network(small.network, small.space, {{"float", uniform_config(small.space, 8, 8)}}, /*quantized=*/false, 7);
  small.supernet.start_from(float_network, batch.src);
  int own = 0;  // what 2 bits learned, the classifier's part too, is theirs alone
  for (auto& [name, tensor] : small.supernet.parameters())
    if (name.starts_with("path.u2.") && ++own) tensor.detach().mul_(1.1).add_(0.05);
  CHECK(own > 0);
  BitConfig mixed = uniform_config(small.space, 2, 2);
  mixed[2] = {8, 3, mixed[2].active_blocks};
  mixed[5].weight = 4;
  QuantizedNetwork found = small.supernet.with_paths({{"mixed", mixed}, {"u2", uniform_config(small.space, 2, 2)}});
  const ForwardMode free{/*batch_statistics=*/true, /*momentum=*/0}, evaluation{/*batch_statistics=*/false, /*momentum=*/0};
  const Tensor stem = small.supernet.stem(batch.src, evaluation);
  CHECK(torch::equal(found.stem(batch.src, evaluation), stem));
  CHECK(torch::equal(found.forward(0, stem, free), small.supernet.forward_config(mixed, stem)));
  CHECK(torch::equal(found.forward(1, stem, evaluation), small.supernet.forward(1, stem, evaluation)));
  CHECK(torch::equal(small.supernet.forward_config(uniform_config(small.space, 2, 2), stem), small.supernet.forward(1, stem, free)));
  // It owns copies: what it learns or recalibrates does not reach the supernet.
  const Tensor before = small.supernet.forward(1, stem, evaluation);
  found.forward(1, stem, {/*batch_statistics=*/true, /*momentum=*/1});
  CHECK(torch::equal(small.supernet.forward(1, stem, evaluation), before));
}

TEST_CASE("quant/coupling: the mitigation's layers are those at their smallest current candidate, stem and classifier never") {
  const Small small;
  BitSpace weights = small.space;
  weights.layers[2].bits = {3, 4, 8};  // frozen
  BitConfig config = uniform_config(small.space, 4, 2);
  config[1].weight = 2;
  config[2].weight = 3;
  config[3].weight = 3;  // not the smallest of a layer that is not frozen
  CHECK((at_smallest(config, weights) == std::vector<int>{1, 2}));
  weights.layers[2].bits = {2, 3, 4, 8};
  CHECK((at_smallest(config, weights) == std::vector<int>{1}));
  weights.layers.front().bits = weights.layers.back().bits = {8};
  CHECK(at_smallest(uniform_config(small.space, 8, 8), weights).empty());
}

TEST_CASE("quant/coupling: weights below a frozen layer's candidates are drawn anew among all of them, everything else stays") {
  const Small small;
  BitSpace weights = small.space;
  weights.layers[2].bits = {3, 4, 8};
  const BitConfig drawn = uniform_config(small.space, 2, 2);
  int seen[9] = {};
  for (std::uint64_t i = 0; i < 300; ++i) {
    BitConfig config = drawn;
    keep_to(weights, Random(1, "keep_to", i), config);
    ++seen[config[2].weight];
    config[2].weight = 2;
    CHECK((config == drawn));
  }
  CHECK(seen[2] == 0);
  for (const int bits : {3, 4, 8}) CHECK(seen[bits] > 60);  // of 100 expected: five standard deviations
  BitConfig above = uniform_config(small.space, 3, 2);
  keep_to(weights, Random(1, "keep_to", 0), above);
  CHECK((above == uniform_config(small.space, 3, 2)));
}
