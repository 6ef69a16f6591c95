#include "quant/guided.h"

#include <doctest/doctest.h>

#include <cmath>

#include "quant/layer_tensors.h"
#include "quant/training_loop.h"
#include "runtime/core/backbones.h"
#include "tests/support/toy_training.h"

using namespace bitpilot;
using bitpilot::testing::toy_pictures;
using torch::Tensor;

namespace {

constexpr int kSteps = 60;

/// Logarithm of the 8-bit step whose `bits`-wide step is `step`, for every filter.
Tensor log_steps(std::int64_t filters, double step, int bits) { return torch::full({filters}, std::log(step / (1 << (8 - bits))), torch::kDouble); }

/// A network trained on toy pictures, guided or not; both start from the same float network.
struct Toy {
  Network network = resnet8({1, 12, 12}, 5, 8);
  BitSpace space = make_bit_space(network, {2, 8}, 8);
  BitConfig config = uniform_config(space, 2, 2);
  std::vector<PathSpec> paths{{"qgt2", config}};
  TrainingBatch batch;
  QuantizedNetwork start;

  explicit Toy(std::uint64_t seed, double brightness = 0.8) : batch(toy_pictures(40, seed, brightness)), start(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, seed) {
    TrainingOptions options;
    options.learning_rate = 5e-3;
    TrainingLoop loop(&start, nullptr, kSteps, options);
    for (int i = 0; i < kSteps; ++i) loop.step(batch, {});
  }

  std::unique_ptr<QuantizedNetwork> fresh(bool quantized) {
    auto result = std::make_unique<QuantizedNetwork>(network, space, paths, quantized, 7);
    result->start_from(start, batch.src);
    return result;
  }

  std::shared_ptr<GuidedTraining> guide(QuantizedNetwork* trained, const GuidedOptions& options, int steps = kSteps) {
    auto guided = std::make_shared<GuidedTraining>(trained, config, steps, options);
    trained->set_quantizers(guided);
    return guided;
  }

  static TrainingOptions guided_options(const std::shared_ptr<GuidedTraining>& guided) {
    TrainingOptions options;
    options.learning_rate = 5e-3;
    options.begin_step = [guided](std::int64_t step) { guided->begin_step(step); };
    options.shape_gradients = [guided](std::int64_t step, const NamedTensors& parameters, std::vector<Tensor>* gradients) {
      guided->shape(step, parameters, gradients);
    };
    return options;
  }

  void train(QuantizedNetwork* trained, const TrainingOptions& options, int steps = kSteps) {
    TrainingLoop loop(trained, nullptr, steps, options);
    for (int i = 0; i < steps; ++i) loop.step(batch, {});
  }

  double loss(QuantizedNetwork* trained) {
    torch::NoGradGuard guard;
    const ForwardMode adopt{/*batch_statistics=*/true, /*momentum=*/1};
    return torch::nll_loss(torch::log_softmax(trained->forward(0, trained->stem(batch.src, adopt), adopt), 1), batch.labels).item<double>();
  }
};

Tensor named(QuantizedNetwork* network, const std::string& wanted) {
  for (const auto& [name, tensor] : network->parameters())
    if (name == wanted) return tensor;
  FAIL("no parameter ", wanted);
  return {};
}

}  // namespace

TEST_CASE("quant/guided: the pull is the derivative of the distance to the grid, away from the edges of bins") {
  torch::manual_seed(3);
  for (const int bits : {2, 3, 4}) {
    const double step = 0.25;
    // 0.4 of a step to either side of a level, beyond the outermost levels too.
    const Tensor codes = torch::randint(-(1 << (bits - 1)), 1 << (bits - 1), {6, 5}, torch::kDouble);
    Tensor weight = (codes + (torch::rand({6, 5}, torch::kDouble) - 0.5) * 0.8) * step;
    weight[0][0] = 2.0 * (1 << bits) * step;
    const Tensor log_step = log_steps(6, step, bits), gradient = grid_gradient(weight, log_step, bits);
    for (std::int64_t i = 0; i < weight.numel(); ++i) {
      constexpr double kMove = 1e-6;
      const Tensor flat = weight.view(-1);
      const double here = flat[i].item<double>();
      flat[i] = here + kMove;
      const double above = grid_distance(weight, log_step, bits);
      flat[i] = here - kMove;
      const double below = grid_distance(weight, log_step, bits);
      flat[i] = here;
      CHECK(gradient.view(-1)[i].item<double>() == doctest::Approx((above - below) / (2 * kMove)).epsilon(1e-6));
    }
  }
}

TEST_CASE("quant/guided: distance is 0 on the grid, a twelfth when weights spread evenly and a quarter between levels") {
  const Tensor log_step = log_steps(1, 0.5, 3);
  CHECK(grid_distance(torch::tensor({{-2.0, -0.5, 0.0, 1.5}}, torch::kDouble), log_step, 3) == doctest::Approx(0));
  CHECK(grid_distance(torch::tensor({{-0.75, 0.25, 1.25}}, torch::kDouble), log_step, 3) == doctest::Approx(0.25));
  const Tensor even = (torch::arange(0, 100000, torch::kDouble) / 100000 * 7 - 4 + 0.5) * 0.5;  // from bin edge to bin edge
  CHECK(grid_distance(even.view({1, -1}), log_step, 3) == doctest::Approx(1.0 / 12).epsilon(1e-3));
}

TEST_CASE("quant/guided: a refit finds the steps that the weights were made with, filter by filter") {
  torch::manual_seed(4);
  const Tensor codes = torch::randint(-2, 2, {2, 400}, torch::kFloat), steps = torch::tensor({0.3F, 0.05F});
  const Tensor weight = codes * steps.view({2, 1}), log_step = (steps * 1.2 / 64).log();
  refit_steps(weight, log_step, 2);
  CHECK(torch::allclose(log_step.exp() * 64, steps, 1e-4));
  CHECK(grid_distance(weight, log_step, 2) < 1e-8);
  const Tensor before = log_step.clone();
  refit_steps(torch::zeros({2, 400}), log_step, 2);  // no code but 0: nothing to fit
  CHECK(torch::equal(log_step, before));
}

TEST_CASE("quant/guided: without strength it is the float training, bit for bit") {
  Toy toy(1);
  const auto guided = toy.fresh(true), plain = toy.fresh(false);
  GuidedOptions options;
  options.strength = 0;
  toy.train(guided.get(), Toy::guided_options(toy.guide(guided.get(), options)));
  TrainingOptions float_options;
  float_options.learning_rate = 5e-3;
  toy.train(plain.get(), float_options);
  for (const auto& [name, tensor] : plain->parameters()) CHECK_MESSAGE(torch::equal(tensor, named(guided.get(), name)), name);
  // … and with it, it is not, where nothing else is guided: no value is rounded, no weight frozen.
  const auto pulled = toy.fresh(true);
  options = {};
  options.activations_from = 1;
  options.freeze = 0;
  toy.train(pulled.get(), Toy::guided_options(toy.guide(pulled.get(), options)));
  CHECK_FALSE(torch::equal(named(plain.get(), "block1.conv1.weight"), named(pulled.get(), "block1.conv1.weight")));
}

TEST_CASE("quant/guided: what has arrived at its level stays there, the rest goes on moving") {
  Toy toy(2);
  const auto network = toy.fresh(true);
  const auto guided = toy.guide(network.get(), {});
  TrainingLoop loop(network.get(), nullptr, kSteps, Toy::guided_options(guided));
  const Tensor weight = named(network.get(), "block2.conv1.weight"), log_step = named(network.get(), "block2.conv1.log_step");
  const int freeze = kSteps - kSteps / 10;
  for (int i = 0; i < freeze + 1; ++i) loop.step(toy.batch, {});
  const Tensor before = weight.detach().clone();
  const Tensor arrived = before == nearest_level(before, log_step, 2);
  CHECK(arrived.any().item<bool>());
  CHECK_FALSE(arrived.all().item<bool>());
  loop.step(toy.batch, {});
  CHECK(torch::equal(before.masked_select(arrived), weight.detach().masked_select(arrived)));
  CHECK_FALSE(torch::equal(before, weight.detach()));
}

TEST_CASE("quant/guided: rounding what the pull has trained beats rounding what trained as long without it, by more than seeds differ") {
  // Long enough, pictures faint enough and the pull gentle enough that weights find their levels before they are bound to them: with 60
  // steps, bright pictures or a strength of 1 the control is as good or better.
  constexpr int kSeeds = 3, kLong = 240;
  constexpr double kNoPull = 1e-9, kPull = 0.3, kFaint = 0.1;  // grid, freeze and rounded activations all the same
  double least = 1e9, most = -1e9, gain = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    Toy toy(static_cast<std::uint64_t>(seed) + 10, kFaint);
    const auto ending = [&](double strength) {
      const auto network = toy.fresh(true);
      GuidedOptions options;
      options.strength = strength;
      options.refit = 20;
      const auto guide = toy.guide(network.get(), options, kLong);
      toy.train(network.get(), Toy::guided_options(guide), kLong);
      guide->round_weights();
      network->set_quantizers(nullptr);
      return toy.loss(network.get());
    };
    const double here = ending(kNoPull) - ending(kPull);
    least = std::min(least, here);
    most = std::max(most, here);
    gain += here / kSeeds;
  }
  MESSAGE("loss of the rounded training without a pull minus the guided one's: mean ", gain, ", ", least, " to ", most);
  CHECK(gain > most - least);
  CHECK(least > 0);
}

TEST_CASE("quant/guided: what stood before the pull is kept, and the conflict of the way to the grid") {
  Toy toy(4);
  const auto network = toy.fresh(true);
  GuidedOptions options;
  options.strength = 3;
  options.quiet = 0.5;
  const auto guide = toy.guide(network.get(), options);
  TrainingLoop loop(network.get(), nullptr, kSteps, Toy::guided_options(guide));
  for (int i = 0; i < kSteps / 2; ++i) loop.step(toy.batch, {});
  NamedTensors kept;
  for (const auto& [name, tensor] : network->parameters()) kept.emplace_back(name, tensor.detach().clone());
  for (const GuidedLayer& layer : guide->measure()) CHECK(layer.conflict == 0);  // nothing has pulled yet
  for (int i = kSteps / 2; i < kSteps; ++i) loop.step(toy.batch, {});
  const NamedTensors& before = guide->before_pull();
  REQUIRE(before.size() == kept.size());
  for (std::size_t i = 0; i < kept.size(); ++i) CHECK_MESSAGE(torch::equal(before[i].second, kept[i].second), kept[i].first);
  CHECK_FALSE(torch::equal(named(network.get(), "block1.conv1.weight").detach(), tensor_named(before, "block1.conv1.weight")));
  // In a checkpoint, restored in place.
  CHECK(tensor_named(guide->state(), "guided.before.block1.conv1.weight").is_same(tensor_named(before, "block1.conv1.weight")));
  const std::vector<GuidedLayer> end = guide->measure();
  for (std::size_t l = 1; l + 1 < end.size(); ++l) {
    CHECK(end[l].conflict != 0);
    CHECK(std::abs(end[l].conflict) <= 1);
  }
}

TEST_CASE("quant/guided: conflict is the cosine of loss and pull, a mean over the steps that pull at weights between levels") {
  Toy toy(5);
  const auto network = toy.fresh(true);
  GuidedOptions options;
  options.quiet = 0.5;
  options.freeze = 0;
  const auto guide = toy.guide(network.get(), options);
  guide->begin_step(0);  // fits the grid
  const NamedTensors parameters = network->parameters();
  const auto direction = [&](const std::string& layer) {
    return grid_gradient(named(network.get(), layer + ".weight").detach(), named(network.get(), layer + ".log_step"), 2);
  };
  const auto at_right_angles = [](const Tensor& to) {
    const Tensor other = torch::randn_like(to);
    return other - to * ((other * to).sum() / to.square().sum());
  };
  /// One step in which the loss's gradient of a layer's weights is `gradient`, and 0 elsewhere.
  const auto step = [&](std::int64_t number, const std::string& layer, const Tensor& gradient) {
    std::vector<Tensor> gradients;
    for (const auto& [name, tensor] : parameters) gradients.push_back(name == layer + ".weight" ? gradient.clone() : torch::zeros_like(tensor));
    guide->shape(number, parameters, &gradients);
  };
  const auto conflict = [&](const std::string& layer) {
    for (int l = 0; l < toy.network.layer_count(); ++l)
      if (toy.network.layer(l).name == layer) return guide->measure()[static_cast<std::size_t>(l)].conflict;
    return 2.0;
  };
  torch::manual_seed(6);
  const std::string one = "block1.conv1", two = "block2.conv1", landed = "block3.conv1";
  step(0, one, -direction(one));  // nothing pulls yet
  CHECK(conflict(one) == 0);
  step(kSteps / 2, one, -7 * direction(one));
  CHECK(conflict(one) == doctest::Approx(-1).epsilon(1e-5));
  step(kSteps / 2 + 1, one, 0.1 * direction(one));
  step(kSteps / 2 + 2, one, -2 * direction(one));
  CHECK(conflict(one) == doctest::Approx(-1.0 / 3).epsilon(1e-5));
  const Tensor along = direction(two), across = at_right_angles(along);
  step(kSteps / 2, two, -3 * along / along.norm() + 4 * across / across.norm());
  CHECK(conflict(two) == doctest::Approx(-0.6).epsilon(1e-5));
  // Nine hundredths of a square step off every level is between them, one hundredth is on them.
  torch::NoGradGuard guard;
  const Tensor weight = named(network.get(), landed + ".weight").detach(), log_step = named(network.get(), landed + ".log_step").detach();
  const Tensor level = nearest_level(weight, log_step, 2).clone(), width = (log_step.exp() * 64).view({-1, 1, 1, 1});
  weight.copy_(level + 0.1 * width);
  step(kSteps / 2, landed, -direction(landed));
  CHECK(conflict(landed) == 0);
  weight.copy_(level + 0.3 * width);
  step(kSteps / 2, landed, direction(landed));
  CHECK(conflict(landed) == doctest::Approx(1).epsilon(1e-5));
}

TEST_CASE("quant/guided: rounded weights are codes of the engine's grid") {
  Toy toy(3);
  const auto network = toy.fresh(true);
  GuidedOptions options;
  options.strength = 3;
  options.quiet = 0;
  options.refit = 10;
  const auto guide = toy.guide(network.get(), options);
  guide->begin_step(0);
  const std::vector<GuidedLayer> start = guide->measure();
  toy.train(network.get(), Toy::guided_options(guide));
  const std::vector<GuidedLayer> end = guide->measure();
  CHECK(end[1].distance < start[1].distance);
  CHECK(end[1].near > start[1].near);
  CHECK(end[1].sqnr_db > start[1].sqnr_db);
  guide->round_weights();
  CHECK(std::isinf(guide->measure()[1].sqnr_db));  // no noise is left
  for (const char* layer : {"block1.conv1", "block3.conv2"}) {
    const Tensor weight = named(network.get(), std::string(layer) + ".weight").detach(), log_step = named(network.get(), std::string(layer) + ".log_step");
    CHECK(torch::allclose(quantize_weights(weight, log_step, 2).detach(), weight, 1e-5, 1e-7));
  }
}
