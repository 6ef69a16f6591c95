#include "experiments/network_simulator.h"

#include <doctest/doctest.h>

using namespace bitpilot;
using torch::Tensor;

namespace {

constexpr int kPictures = 64, kClasses = 5, kLayers = 3;

/// One adaptive layer between stem and classifier, so that no rounding to low bits lies behind it.
Network one_adaptive_layer() {
  Network network;
  network.name = "one adaptive layer";
  const int stem = network.relu(network.conv("stem", network.input({1, 10, 10}), 8, 3));
  const int middle = network.relu(network.conv("middle", stem, 16, 3));
  network.linear("classifier", network.global_avg_pool(middle), kClasses);
  network.finish();
  return network;
}

struct Setting {
  Network network = one_adaptive_layer();
  BitSpace space = make_bit_space(network, {2, 3, 4, 8}, 8);
  QuantizedNetwork supernet{network, space, {{"u3", uniform_config(space, 3, 3)}}, /*quantized=*/true, 7};
  Tensor pictures, labels, anchors = torch::zeros({kPictures}, torch::kLong);

  Setting() {
    torch::manual_seed(5);
    pictures = torch::randint(0, 256, {kPictures, 1, 10, 10}, torch::kByte);
    labels = torch::randint(0, kClasses, {kPictures}, torch::kLong);
    QuantizedNetwork float_network(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 7);
    const Tensor src = pictures.to(torch::kFloat).div(255);
    supernet.start_from(float_network, src);
    const ForwardMode adopt{/*batch_statistics=*/true, /*momentum=*/1};
    supernet.forward(0, supernet.stem(src, adopt), adopt);
  }

  /// Fractional bits of the adaptive layer, the same for all pictures.
  Tensor bits(double weight, double activation) const {
    Tensor bits = torch::full({kPictures, kLayers, 2}, 8.0);
    bits.select(1, 1).select(1, 0).fill_(weight);
    bits.select(1, 1).select(1, 1).fill_(activation);
    return bits;
  }
};

}  // namespace

TEST_CASE("experiments/network_simulator: with one adaptive layer the gradient of the bits is the difference quotient") {
  Setting setting;
  NetworkSimulator simulator(&setting.supernet);
  const auto loss = [&](const Tensor& bits) { return simulator.loss(setting.pictures, setting.labels, setting.anchors, bits); };
  Tensor at = setting.bits(2.5, 3.5).requires_grad_(true);
  loss(at).sum().backward();
  constexpr double kStep = 0.4;       // inside the interval between two rungs, where the mix is linear
  // What a finite step cannot share with the gradient: ReLUs that switch inside it, 8-bit rounding of the classifier's input.
  constexpr double kKinks = 0.2;
  for (int tensor = 0; tensor < 2; ++tensor) {
    INFO(std::string(tensor == 0 ? "weight bits" : "activation bits"));
    const Tensor up = setting.bits(2.5 + (tensor == 0 ? kStep : 0), 3.5 + (tensor == 1 ? kStep : 0));
    const Tensor down = setting.bits(2.5 - (tensor == 0 ? kStep : 0), 3.5 - (tensor == 1 ? kStep : 0));
    const Tensor difference = (loss(up) - loss(down)).detach() / (2 * kStep);
    const Tensor gradient = at.grad().select(1, 1).select(1, tensor);
    REQUIRE(difference.abs().mean().item<double>() > 1e-3);
    CHECK((gradient - difference).abs().mean().item<double>() < kKinks * difference.abs().mean().item<double>());
  }
}

TEST_CASE("experiments/network_simulator: on a rung the gradient looks up the ladder and does not vanish; the network gets none") {
  Setting setting;
  NetworkSimulator simulator(&setting.supernet);
  Tensor at = setting.bits(3, 3).requires_grad_(true);
  simulator.loss(setting.pictures, setting.labels, setting.anchors, at).sum().backward();
  for (int tensor = 0; tensor < 2; ++tensor) CHECK(at.grad().select(1, 1).select(1, tensor).abs().min().item<double>() > 0);
  for (const auto& [name, parameter] : setting.supernet.parameters()) CHECK_FALSE(parameter.grad().defined());
}

TEST_CASE("experiments/network_simulator: shares of all candidates mix them, and each candidate has its own gradient") {
  Setting setting;
  NetworkSimulator simulator(&setting.supernet);
  const auto loss = [&](const Tensor& bits) { return simulator.loss(setting.pictures, setting.labels, setting.anchors, bits); };
  constexpr int kCandidates = 4;  // 2, 3, 4, 8 bits
  // Everything on candidate `rung` of the adaptive layer; the fixed layers have one candidate.
  const auto all_on = [&](int rung) {
    Tensor shares = torch::zeros({kPictures, kLayers, 2, kCandidates});
    for (const int fixed : {0, 2}) shares.select(1, fixed).select(2, 0).fill_(1);
    shares.select(1, 1).select(2, rung).fill_(1);
    return shares;
  };
  const std::vector<double> bits{2, 3, 4, 8};
  for (int rung = 0; rung < kCandidates; ++rung)
    CHECK(torch::allclose(loss(all_on(rung)), loss(setting.bits(bits[rung], bits[rung]))));
  // A step towards any other candidate, however far: the gradient of that share minus that of the present one.
  Tensor at = all_on(1).requires_grad_(true);
  loss(at).sum().backward();
  constexpr double kStep = 0.02, kKinks = 0.2;  // as above: ReLUs that switch inside the step, rounding at 8 bits behind it
  for (const int other : {0, 2, 3}) {
    Tensor moved = all_on(1);
    moved.select(1, 1).select(1, 0).select(1, other).add_(kStep);
    moved.select(1, 1).select(1, 0).select(1, 1).sub_(kStep);
    const Tensor difference = (loss(moved) - loss(all_on(1))) / kStep;
    const Tensor gradient = at.grad().select(1, 1).select(1, 0);
    const Tensor slope = gradient.select(1, other) - gradient.select(1, 1);
    INFO("towards ", bits[other], " bits");
    REQUIRE(difference.abs().mean().item<double>() > 1e-3);
    CHECK((slope - difference).abs().mean().item<double>() < kKinks * difference.abs().mean().item<double>());
  }
}
