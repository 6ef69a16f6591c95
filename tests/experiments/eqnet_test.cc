#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "experiments/methods/method.h"
#include "quant/training_loop.h"
#include "quant/weight_shape.h"
#include "runtime/core/backbones.h"

using namespace bitpilot;
using nlohmann::json;
using torch::Tensor;

namespace {

/// The first stage of a toy network in the hands of EQ-Net, without files and without a step.
struct Toy {
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {2, 3, 4, 8}, 8);
  QuantizedNetwork supernet{network, space, {{"full8", uniform_config(space, 8, 8)}}, /*quantized=*/true, 7};
  std::unique_ptr<Method> method;
  TrainingOptions options;

  explicit Toy(json settings) {
    settings["name"] = "eqnet";
    settings["subnets"] = 0;
    method = make_method(recipe_from_json({{"paths", {{{"name", "full8"}}}}, {"supernet", {{"random_paths", 2}}}, {"method", settings}}, "test"));
    options.paths = {0};
    options.random_paths = 2;
    method->begin_stage({"supernet", &supernet, 4, 64, 0, 1}, &options);
  }
  /// Of each parameter, what the method makes of no gradient at all.
  std::vector<Tensor> gradients() const {
    std::vector<Tensor> list(supernet.parameters().size());
    options.shape_gradients(0, supernet.parameters(), &list);
    return list;
  }
};

}  // namespace

TEST_CASE("experiments/eqnet: with guidance a subnet learns from the one before it, without it from the float network") {
  CHECK(Toy(json{{"guidance", true}}).options.teaching == Teaching::kPrevious);
  CHECK(Toy(json::object()).options.teaching == Teaching::kPrevious);
  CHECK(Toy(json{{"guidance", false}}).options.teaching == Teaching::kTeacher);
}

TEST_CASE("experiments/eqnet: the regulariser draws at the weights of every layer but the first, as strongly as its field says and clipped") {
  const double strength = 3;
  const Toy shaped(json{{"shape", strength}}), plain(json{{"shape", 0}});
  torch::NoGradGuard guard;
  // One layer so small in scale that its gradient is beyond the limit of 1.
  for (auto& [name, tensor] : shaped.supernet.parameters())
    if (name == "block1.conv1.weight") tensor.mul_(1e-7);
  const NamedTensors parameters = shaped.supernet.parameters();
  const std::vector<Tensor> gradients = shaped.gradients(), none = plain.gradients();
  const int layers = shaped.network.layer_count();
  int drawn = 0, clipped = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, tensor] = parameters[i];
    INFO(name);
    if (none[i].defined()) CHECK(none[i].abs().max().item<double>() == 0);
    const bool first = name.starts_with(shaped.network.layer(0).name + ".");
    if (first || !name.ends_with(".weight")) {
      CHECK_FALSE(gradients[i].defined());
      continue;
    }
    REQUIRE(gradients[i].defined());
    const ShapeStrengths base;
    const Tensor full = (shape_gradient(tensor, {strength * base.skewness, strength * base.kurtosis}) / (layers - 1)).to(torch::kFloat);
    CHECK(full.abs().max().item<double>() > 0);
    CHECK(torch::allclose(gradients[i], full.clamp(-1, 1)));
    clipped += full.abs().max().item<double>() > 1;
    ++drawn;
  }
  CHECK(drawn == layers - 1);
  CHECK(clipped > 0);
}
