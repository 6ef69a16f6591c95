#include "quant/weight_shape.h"

#include <doctest/doctest.h>

#include <cmath>

#include "runtime/core/random.h"

using namespace bitpilot;
using torch::Tensor;

namespace {

/// Laplace-distributed: kurtosis 6.
Tensor laplace(int count) {
  Tensor w = torch::empty({count}, torch::kDouble);
  Random random(3, "laplace");
  for (int i = 0; i < count; ++i) {
    const double u = random.uniform() - 0.5;
    w[i] = -std::copysign(std::log(1 - 2 * std::abs(u)), u);
  }
  return w;
}

/// Minimises the regulariser alone.
Tensor flattened(const Tensor& start) {
  Tensor w = start.clone();
  torch::optim::Adam optimizer({w}, torch::optim::AdamOptions(0.01));
  for (int step = 0; step < 1500; ++step) {
    w.mutable_grad() = shape_gradient(w, {1, 1});
    optimizer.step();
  }
  return w;
}

/// Mean squared error over variance of 4-bit codes at `factor` times the best step.
double error_at(const Tensor& w, double factor) {
  const auto error = [&](double step) { return ((w / step).round().clamp(-8, 7) * step - w).square().mean().item<double>(); };
  double best = 0.01;
  for (double step = 0.01; step < 2; step *= 1.02)
    if (error(step) < error(best)) best = step;
  return error(best * factor) / w.var(/*unbiased=*/false).item<double>();
}

}  // namespace

TEST_CASE("quant/weight_shape: moments of known distributions, none of a constant") {
  const WeightShape even = weight_shape(torch::linspace(-1, 1, 10001));
  CHECK(even.skewness == doctest::Approx(0).epsilon(1e-6));
  CHECK(even.kurtosis == doctest::Approx(1.8).epsilon(1e-3));
  const WeightShape two = weight_shape(torch::tensor({0.0F, 0.0F, 0.0F, 1.0F}));  // of a share p = 1/4: (1 - 2p) / sqrt(p (1 - p))
  CHECK(two.skewness == doctest::Approx(0.5 / std::sqrt(3.0 / 16)));
  CHECK(weight_shape(laplace(20000)).kurtosis == doctest::Approx(6).epsilon(0.1));
  CHECK(torch::equal(shape_gradient(torch::full({80}, 2.0), {}), torch::zeros({80}, torch::kDouble)));
}

TEST_CASE("quant/weight_shape: the gradient is the difference quotient") {
  const Tensor w = laplace(70).view({7, 10});
  for (const ShapeStrengths& strengths : {ShapeStrengths{1, 0}, ShapeStrengths{0, 1}, ShapeStrengths{}}) {
    const Tensor gradient = shape_gradient(w, strengths);
    // Cut off and rounded, a central difference of this step is right to about 1e-7 of even the least slope.
    constexpr double kStep = 1e-4, kRelative = 1e-6;
    for (int i = 0; i < w.numel(); ++i) {
      Tensor up = w.clone(), down = w.clone();
      up.view(-1)[i] += kStep;
      down.view(-1)[i] -= kStep;
      const double quotient = (shape_loss(up, strengths) - shape_loss(down, strengths)) / (2 * kStep);
      INFO("weight ", i, ", strengths ", strengths.skewness, " and ", strengths.kurtosis);
      CHECK(gradient.view(-1)[i].item<double>() == doctest::Approx(quotient).epsilon(kRelative).scale(0));
    }
  }
}

TEST_CASE("quant/weight_shape: minimised alone it makes weights uniform, and a wrong step then errs less") {
  const Tensor before = laplace(2000), after = flattened(before);
  const WeightShape shape = weight_shape(after);
  CHECK(std::abs(shape.skewness) < 0.02);
  CHECK(std::abs(shape.kurtosis - 1.8) < 0.02);
  // A step that is a fifth off still errs less than it does on the other tensor.
  for (const double factor : {0.8, 1.0, 1.2}) {
    INFO("step times ", factor);
    CHECK(error_at(after, factor) < error_at(before, factor));
  }
  // The error rises less too where the step is too short.  Where it is too long it rises more (docs/methods.md): flat weights that fit
  // their codes exactly have more to lose.
  const auto rise = [](const Tensor& w, double factor) { return error_at(w, factor) - error_at(w, 1); };
  MESSAGE("rise of the error, of the variance: step times 0.8 ", rise(before, 0.8), " -> ", rise(after, 0.8), ", times 1.2 ", rise(before, 1.2), " -> ",
          rise(after, 1.2));
  CHECK(rise(after, 0.8) < rise(before, 0.8));
}

TEST_CASE("quant/weight_shape: the regulariser adds to the named layers' gradients alone, and not to small tensors") {
  NamedTensors parameters;
  for (const char* name : {"a.weight", "a.log_step", "b.weight", "c.weight"}) parameters.emplace_back(name, laplace(100).to(torch::kFloat));
  parameters.emplace_back("small.weight", laplace(63).to(torch::kFloat));
  std::vector<Tensor> gradients(5);
  gradients[0] = torch::ones({100});
  shape_regulariser({"a", "c", "small", "none"}, {1, 1})(0, parameters, &gradients);
  const Tensor added = (shape_gradient(parameters[0].second, {1, 1}) / 4).to(torch::kFloat);
  CHECK(added.abs().max().item<float>() > 0);
  CHECK(torch::allclose(gradients[0], torch::ones({100}) + added));
  CHECK(torch::allclose(gradients[3], added));
  for (const int untouched : {1, 2, 4}) CHECK_FALSE(gradients[static_cast<std::size_t>(untouched)].defined());
}
