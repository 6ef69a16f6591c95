#include "quant/super_bits.h"

#include <doctest/doctest.h>

#include <cmath>

#include "quant/training_loop.h"
#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "tests/support/toy_training.h"

using namespace bitpilot;
using bitpilot::testing::toy_pictures;
using torch::Tensor;

namespace {

constexpr int kSteps = 60;

struct Toy {
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {4, 8}, 8);
  TrainingBatch batch = toy_pictures(40, 5);
  QuantizedNetwork start{network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 3};
  QuantizedNetwork trained{network, space, {{"abs", uniform_config(space, 4, 4)}}, /*quantized=*/true, 7};
  std::shared_ptr<SuperBits> search;

  explicit Toy(const SuperBitOptions& options = {}) {
    trained.start_from(start, batch.src);
    search = std::make_shared<SuperBits>(&trained, kSteps, options);
    trained.set_quantizers(search);
  }
  Tensor thresholds(const std::string& wanted) const {
    for (const auto& [name, tensor] : search->parameters())
      if (name == wanted) return tensor.detach();
    FAIL("no parameter ", wanted);
    return {};
  }
  int layer(const std::string& name) const {
    for (int l = 0; l < network.layer_count(); ++l)
      if (network.layer(l).name == name) return l;
    return -1;
  }
  void train(int steps) {
    TrainingOptions options;
    options.learning_rate = 5e-3;
    options.shape_gradients = [this](std::int64_t step, const NamedTensors& parameters, std::vector<Tensor>* gradients) {
      search->shape(step, parameters, gradients);
    };
    TrainingLoop loop(&trained, nullptr, kSteps, options);
    for (int i = 0; i < steps; ++i) loop.step(batch, {});
  }
};

/// D(z, s_b) in double.
Tensor direct(const Tensor& z, int bits) { return (z * ((1 << bits) - 1)).round() / ((1 << bits) - 1); }

/// Gate thresholds that leave it open, or close it, whatever the weights.
constexpr double kOpen = 0, kClosed = 0.35;  // times a rate of 10: 3.5 units of A0, more than any distance

ActivationQuantizer quantizer_with_clip(double clip) { return {torch::full({1}, static_cast<float>(std::log(clip / 15))), 4, false}; }

}  // namespace

TEST_CASE("quant/super_bits: two residuals bring the 2-bit code to the 4-bit and the 8-bit one, ties apart") {
  // Odd multiples of 1/1020 are never half-way between two of 255 levels; those half-way between 15 or 3 are left out.
  std::vector<double> off_ties;
  for (int k = 1; k < 1020; k += 2) {
    const double z = k / 1020.0;
    const auto tied = [&](int levels) { return std::abs(z * levels - std::floor(z * levels) - 0.5) < 1e-9; };
    if (!tied(3) && !tied(15) && !tied(255)) off_ties.push_back(z);
  }
  REQUIRE(off_ties.size() > 450);
  const Tensor z = torch::tensor(off_ties, torch::kDouble);
  const Residuals parts = decompose(z);
  CHECK(torch::allclose(parts.two, direct(z, 2), 0, 1e-12));
  CHECK(torch::allclose(parts.two + parts.four, direct(z, 4), 0, 1e-12));
  CHECK(torch::allclose(parts.two + parts.four + parts.eight, direct(z, 8), 0, 1e-12));
}

TEST_CASE("quant/super_bits: every ladder but 2, 4, 8 is refused when the search is made") {
  for (const std::vector<int>& ladder : {std::vector<int>{2, 3}, {2, 4}, {2, 3, 8}, {4, 8}, {1, 2, 4}, {}}) {
    SuperBitOptions options;
    options.ladder = ladder;
    CHECK_THROWS_WITH_AS(Toy{options}, doctest::Contains("[2, 4, 8]"), Error);
  }
}

TEST_CASE("quant/super_bits: eight bits count only where four are open too, in the bits and in what is computed") {
  const Toy toy;
  const int layer = toy.layer("block1.conv1"), reader = toy.layer("block1.conv2");
  const double clip = 2;
  torch::manual_seed(2);
  // On 255 levels of their own range: eight bits lose nothing.
  const Tensor value = torch::randint(0, 256, {2, 16, 20, 20}).to(torch::kFloat) * static_cast<float>(clip / 255);
  const Tensor weight = (torch::randint(0, 256, {16, 16, 3, 3}).to(torch::kFloat) / 255 * 2 - 1) * static_cast<float>(clip);
  const Tensor log_step = torch::full({16}, static_cast<float>(std::log(clip / 128)));
  const auto position = [&](const Tensor& w) { return (w / clip + 1) / 2; };
  for (const bool four : {false, true})
    for (const bool eight : {false, true}) {
      INFO("four ", four, ", eight ", eight);
      const int bits = four ? eight ? 8 : 4 : 2;
      CHECK(gated_bits(four, eight) == bits);
      for (const char* name : {"abs.values", "abs.weights"}) {
        toy.thresholds(name).select(1, 0).fill_(four ? kOpen : kClosed);
        toy.thresholds(name).select(1, 1).fill_(eight ? kOpen : kClosed);
      }
      const BitConfig found = toy.search->found();
      CHECK(found[reader].activation == bits);
      CHECK(found[reader].weight == bits);
      torch::NoGradGuard guard;
      const Tensor computed = toy.search->activations(layer, value, quantizer_with_clip(clip));
      // A value half-way between levels may go either way.
      const Tensor off = (computed / clip - direct(value.to(torch::kDouble) / clip, bits)).abs();
      CHECK((off < 1e-5).to(torch::kFloat).mean().item<double>() > 0.97);
      CHECK(off.max().item<double>() < 1.01 / ((1 << bits) - 1));
      const Tensor levels = position(toy.search->weights(layer, weight, log_step, 4).to(torch::kDouble)) * ((1 << bits) - 1);
      CHECK((levels - levels.round()).abs().max().item<double>() < 1e-3);
      CHECK((levels.round() != direct(position(weight.to(torch::kDouble)), bits) * ((1 << bits) - 1)).to(torch::kFloat).mean().item<double>() < 0.03);
    }
}

TEST_CASE("quant/super_bits: gradients of a value reach the clip and both gates, as differences say") {
  Toy toy;
  const int layer = toy.layer("block1.conv1");
  torch::manual_seed(4);
  const Tensor value = torch::rand({1, 16, 3, 3}) * 1.2, towards = torch::randn({1, 16, 3, 3});
  const auto computed = [&](double clip) {
    torch::NoGradGuard guard;
    return toy.search->activations(layer, value, quantizer_with_clip(clip));
  };
  const double clip = 0.9;
  ActivationQuantizer quantizer = quantizer_with_clip(clip);
  quantizer.log_step.set_requires_grad(true);
  const Tensor source = value.clone().set_requires_grad(true);
  NamedTensors thresholds = toy.search->parameters();
  Tensor of_values = thresholds[1].second;
  const auto grads = torch::autograd::grad({(toy.search->activations(layer, source, quantizer) * towards).sum()}, {source, quantizer.log_step, of_values});
  // The pass has told what two and four bits leave: a tenth of it joins the average, which begins at s_b^2 / 12.
  const Tensor z = (value / clip).clamp(0, 1).to(torch::kDouble), told = toy.search->state().front().second[layer];
  for (const int k : {0, 1}) {
    const int bits = k == 0 ? 2 : 4;
    const double start = 1.0 / ((1 << bits) - 1) / ((1 << bits) - 1) / 12, left = (z - direct(z, bits)).square().mean().item<double>();
    CHECK(told[k].item<double>() / (0.9 * start + 0.1 * left) == doctest::Approx(1).epsilon(1e-3));
  }
  const Tensor inside = (value <= clip).to(torch::kFloat);
  CHECK(torch::allclose(grads[0], towards * inside, 1e-5, 1e-6));
  // Learned-step-size rule: (z^ - z) inside, 1 beyond the clip; to the logarithm, times the clip.
  const Tensor expected = ((computed(clip) - value * inside) * towards).sum();
  CHECK(grads[1].item<double>() == doctest::Approx(expected.item<double>()).epsilon(1e-3));
  // Closing a gate takes exactly its part away; its threshold closes it.
  const Tensor whole = computed(clip);
  toy.thresholds("abs.values")[layer][1] = kClosed;
  const double without_eight = ((computed(clip) - whole) * towards).sum().item<double>();
  toy.thresholds("abs.values")[layer][0] = kClosed;
  const double without_four = ((computed(clip) - whole) * towards).sum().item<double>();
  const Tensor of_layer = grads[2][layer];
  CHECK(std::signbit(of_layer[0].item<double>()) == std::signbit(without_four));
  CHECK(std::signbit(of_layer[1].item<double>()) == std::signbit(without_eight));
  // Equal distances give both sigmoids one slope, so the ratio of the gradients is that of the parts.
  CHECK(of_layer[0].item<double>() / of_layer[1].item<double>() == doctest::Approx(without_four / without_eight).epsilon(1e-2));
}

TEST_CASE("quant/super_bits: what is priced is the cost of the configuration that the gates stand for, pruned groups included") {
  const Toy toy;
  const CostTable bops = bops_table(toy.network, toy.space);
  const auto check = [&] {
    const double cost = bops.cost(toy.search->found());
    CHECK(std::exp(toy.search->log_bops(true).item<double>()) == doctest::Approx(cost).epsilon(1e-9));
    CHECK(std::exp(toy.search->log_bops(false).item<double>()) == doctest::Approx(cost).epsilon(1e-9));
    return cost;
  };
  const double open = check();
  CHECK(open == doctest::Approx(bops.reference()).epsilon(1e-9));
  toy.thresholds("abs.weights")[toy.layer("block2.conv2")][1] = kClosed;
  const double narrower_weights = check();
  CHECK(narrower_weights < open);
  toy.thresholds("abs.values")[toy.layer("block1.conv2")][0] = kClosed;  // read by two layers of block 2
  const double narrower_values = check();
  CHECK(narrower_values < narrower_weights);
  toy.thresholds("abs.filters").fill_(0.099);  // just under the layers' mean norm
  toy.search->constrain();
  const BitConfig found = toy.search->found();
  CHECK(check() < narrower_values);
  CHECK(found[toy.layer("block3.conv1")].active_blocks < 8);
  for (const char* shared : {"block1.conv2", "block2.conv2", "block2.shortcut", "block3.conv2"})
    CHECK(found[toy.layer(shared)].active_blocks == toy.space.layers[toy.layer(shared)].blocks);
}

TEST_CASE("quant/super_bits: a higher threshold lowers the cost, for every gate of weights, values and filters") {
  const Toy toy;
  const NamedTensors thresholds = toy.search->parameters();
  const auto slopes = [&](std::size_t which, bool of_weights) {
    return torch::autograd::grad({toy.search->log_bops(of_weights)}, {thresholds[which].second})[0];
  };
  const Tensor of_weights = slopes(0, true), of_values = slopes(1, false), of_filters = slopes(2, true);
  for (const int k : {0, 1}) {
    for (int l = 1; l + 1 < toy.network.layer_count(); ++l) CHECK(of_weights[l][k].item<double>() < 0);
    for (const char* read : {"stem", "block1.conv1", "block1.conv2", "block2.conv1", "block2.conv2", "block3.conv1"})
      CHECK(of_values[toy.layer(read)][k].item<double>() < 0);
    CHECK(of_values[toy.layer("block3.conv2")][k].item<double>() == 0);  // the classifier reads it, always at 8 bits
  }
  for (const char* name : {"block1.conv1", "block2.conv1", "block3.conv1"}) CHECK(of_filters[toy.layer(name)].item<double>() < 0);
  CHECK(of_weights[0].abs().max().item<double>() == 0);
  CHECK(of_filters[toy.layer("block1.conv2")].item<double>() == 0);
}

TEST_CASE("quant/super_bits: the original gates compare mean squares with thresholds as they are, and learn by the slope of sigmoid(A - alpha)") {
  SuperBitOptions options;
  options.original_gates = true;
  options.rate = 50;  // does not count
  const Toy toy(options);
  const int layer = toy.layer("block2.conv2"), reader = toy.layer("block1.conv2"), value = toy.layer("block1.conv1");
  Tensor weight, log_step;
  for (const auto& [name, tensor] : toy.trained.parameters()) {
    if (name == "block2.conv2.weight") weight = tensor.detach().to(torch::kDouble);
    if (name == "block2.conv2.log_step") log_step = tensor.detach().to(torch::kDouble);
  }
  const Tensor z = ((weight / (log_step.exp() * 128).view({-1, 1, 1, 1})).clamp(-1, 1) + 1) / 2;
  // Of weights as they are; of values an average that begins at s_b^2 / 12.
  double of_weights[2], of_values[2];
  for (const int k : {0, 1}) {
    const int bits = k == 0 ? 2 : 4;
    of_weights[k] = (z - direct(z, bits)).square().mean().item<double>();
    of_values[k] = 1.0 / ((1 << bits) - 1) / ((1 << bits) - 1) / 12;
  }
  const CostTable bops = bops_table(toy.network, toy.space);
  const auto at = [&](int bits) { return bops.at(layer, bits, 8, toy.space.layers[layer].blocks); };
  const auto slope = [](double distance) { return std::exp(-distance) / std::pow(1 + std::exp(-distance), 2); };
  const Tensor learned = torch::autograd::grad({toy.search->log_bops(true)}, {toy.search->parameters()[0].second})[0][layer];
  CHECK(learned[0].item<double>() == doctest::Approx(-slope(of_weights[0]) * (at(8) - at(2)) / bops.reference()).epsilon(1e-4).scale(0));
  CHECK(learned[1].item<double>() == doctest::Approx(-slope(of_weights[1]) * (at(8) - at(4)) / bops.reference()).epsilon(1e-4).scale(0));
  constexpr double kMargin = 0.01;
  for (const int closed : {1, 0}) {  // g_8, then g_4
    INFO("gate ", closed);
    const int without = closed == 1 ? 4 : 2;
    for (const double side : {1 - kMargin, 1 + kMargin}) {
      toy.thresholds("abs.weights")[layer][closed] = side * of_weights[closed];
      toy.thresholds("abs.values")[value][closed] = side * of_values[closed];
      toy.search->constrain();
      CHECK(toy.search->found()[layer].weight == (side < 1 ? 8 : without));
      CHECK(toy.search->found()[reader].activation == (side < 1 ? 8 : without));
    }
    toy.thresholds("abs.weights")[layer][closed] = 0;
    toy.thresholds("abs.values")[value][closed] = 0;
  }
}

TEST_CASE("quant/super_bits: without a price all gates stay open, with a high one they close and filters go, and no more than allowed") {
  SuperBitOptions free;
  free.lambda = 0;
  Toy unpriced(free);
  unpriced.train(kSteps);
  CHECK((unpriced.search->found() == uniform_config(unpriced.space, 8, 8)));
  SuperBitOptions dear;
  dear.lambda = 10;
  dear.rate = 50;
  Toy priced(dear);
  priced.train(kSteps);
  const BitConfig found = priced.search->found();
  const CostTable bops = bops_table(priced.network, priced.space);
  CHECK(bops.cost(found) < 0.5 * bops.reference());
  const int third = priced.layer("block3.conv1");
  CHECK(found[third].active_blocks == 4);  // of 8, at most half
  CHECK(found[third].weight == 2);
}

TEST_CASE("quant/super_bits: weights' and values' thresholds learn in turns; in two stages filters first, bits after") {
  const auto moved = [](bool two_stage, int steps) {
    SuperBitOptions options;
    options.lambda = 1;
    options.two_stage = two_stage;
    Toy toy(options);
    toy.train(steps);
    std::vector<bool> result;
    for (const char* name : {"abs.weights", "abs.values", "abs.filters"}) result.push_back(toy.thresholds(name).abs().max().item<double>() > 0);
    return result;
  };
  CHECK((moved(false, 1) == std::vector<bool>{true, false, true}));
  CHECK((moved(false, 2) == std::vector<bool>{true, true, true}));
  CHECK((moved(true, kSteps / 2) == std::vector<bool>{false, false, true}));
  CHECK((moved(true, kSteps / 2 + 2) == std::vector<bool>{true, true, true}));
}

TEST_CASE("quant/super_bits: the kept groups come first in the order, each as a whole") {
  Toy toy;
  const int layer = toy.layer("block2.conv1");
  {
    torch::NoGradGuard guard;
    for (auto& [name, tensor] : toy.trained.parameters())
      if (name == "block2.conv1.weight") tensor.detach().narrow(0, 8, 8).mul_(0.01);  // the second of four groups
  }
  toy.thresholds("abs.filters")[layer] = 0.05;  // half the mean norm
  CHECK(toy.search->found()[layer].active_blocks == 3);
  const Tensor order = toy.search->order()[layer];
  CHECK(torch::equal(order.narrow(0, 0, 8), torch::arange(8)));
  CHECK(torch::equal(order.narrow(0, 8, 16), torch::arange(16, 32)));
  CHECK(torch::equal(order.narrow(0, 24, 8), torch::arange(8, 16)));
  // Nothing of a pruned group reaches its reader.
  torch::NoGradGuard guard;
  const Tensor seen = toy.search->activations(layer, torch::ones({1, 32, 2, 2}), quantizer_with_clip(1));
  CHECK(seen.narrow(1, 8, 8).abs().max().item<double>() == 0);
  CHECK(seen.narrow(1, 16, 16).min().item<double>() > 0.9);
}

TEST_CASE("quant/super_bits: what is found is what most of the last steps say, not the last one") {
  constexpr int kRemembered = 10;
  SuperBitOptions options;
  options.lambda = 0;
  Toy toy(options);
  const auto search = std::make_shared<SuperBits>(&toy.trained, 10 * kRemembered, options);
  toy.search = search;
  const int layer = toy.layer("block2.conv2"), narrow = toy.layer("block3.conv1");
  const auto step = [&](std::int64_t number, bool open) {
    toy.thresholds("abs.weights")[layer][1] = open ? kOpen : kClosed;
    toy.thresholds("abs.filters")[narrow] = open ? 0.0 : 0.2;
    search->constrain();
    std::vector<Tensor> gradients(search->parameters().size());
    search->shape(number, search->parameters(), &gradients);
  };
  std::int64_t number = 0;
  // Each part ends with a step of the other kind.
  constexpr int kTurns = 5 * kRemembered + 2;
  for (int i = 0; i < kTurns; ++i) step(number++, /*open=*/i % 4 != 3);  // open in three steps of four
  CHECK((search->found() == uniform_config(toy.space, 8, 8)));
  for (int i = 0; i < kTurns; ++i) step(number++, /*open=*/i % 4 == 3);
  CHECK(search->found()[layer].weight == 4);
  CHECK(search->found()[narrow].active_blocks == 4);
  // Though all groups are kept now: those that mostly were go first.
  const Tensor norms = [&] {
    for (const auto& [name, tensor] : toy.trained.parameters())
      if (name == "block3.conv1.weight") return tensor.detach().abs().flatten(1).mean(1).view({-1, toy.space.block}).mean(1);
    return Tensor();
  }();
  const Tensor groups = search->order()[narrow].view({-1, toy.space.block}).select(1, 0) / toy.space.block;
  CHECK(norms.index_select(0, groups.narrow(0, 0, 4).to(torch::kInt64)).min().item<float>() >=
        norms.index_select(0, groups.narrow(0, 4, 4).to(torch::kInt64)).max().item<float>());
  int kept = 0;
  for (const auto& [name, tensor] : search->state()) kept += name == "abs.votes" && (tensor >= 0).all().item<bool>() ? 1 : 0;
  CHECK(kept == 1);
}
