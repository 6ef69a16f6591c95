#include "quant/fake_quant.h"

#include <doctest/doctest.h>

#include <cmath>

#include "runtime/core/integer.h"

using namespace bitpilot;
using torch::Tensor;

namespace {

// The learned-step-size rule in double, written from the paper: d(dst)/d(step) for one element.
double step_rule(double value, double step, double lowest, double highest) {
  const double v = value / step;
  if (v < lowest) return lowest;
  if (v > highest) return highest;
  return std::nearbyint(v) - v;
}

}  // namespace

TEST_CASE("quant/fake_quant: weights get the nested code that the runtime derives, for every stored code and width") {
  const double step = 0.03125;  // a power of two keeps every product exact
  Tensor w = torch::empty({1, 256});
  for (int code = -128; code < 128; ++code) w[0][code + 128] = code * step;
  const Tensor log_step = torch::full({1}, std::log(step));
  const double exact = log_step.exp()[0].item<double>();
  for (int bits = 2; bits <= 8; ++bits) {
    const Tensor q = quantize_weights(w, log_step, bits);
    for (int code = -128; code < 128; ++code) {
      INFO("bits ", bits, " code ", code);
      const double units = q[0][code + 128].item<double>() / (exact * (1 << (8 - bits)));
      CHECK(std::nearbyint(units) == integer::nested_code(code, bits));
      CHECK(std::abs(units - std::nearbyint(units)) < 1e-4);
    }
  }
}

TEST_CASE("quant/fake_quant: weight gradients follow the learned-step-size rule inside and beyond both clips") {
  const double step = 0.02;
  const Tensor values = torch::tensor({-5.0, -2.553, -1.307, -0.013, 0.0, 0.403, 1.263, 2.527, 7.0}).to(torch::kFloat).reshape({1, 9});
  for (int bits = 2; bits <= 8; ++bits) {
    Tensor w = values.clone().set_requires_grad(true), log_step = torch::full({1}, std::log(step)).set_requires_grad(true);
    const Tensor weight_of_sum = torch::arange(1, 10).to(torch::kFloat).reshape({1, 9});
    (quantize_weights(w, log_step, bits) * weight_of_sum).sum().backward();
    const double wide = step * (1 << (8 - bits)), lowest = integer::signed_lowest(bits), highest = integer::signed_highest(bits);
    double expected = 0;
    for (int i = 0; i < 9; ++i) {
      const double x = values[0][i].item<double>(), v = x / wide;
      INFO("bits ", bits, " value ", x);
      const bool inside = v >= lowest && v <= highest;
      CHECK(w.grad()[0][i].item<double>() == doctest::Approx(inside ? i + 1.0 : 0.0));
      const double q = std::clamp(std::nearbyint(std::nearbyint(std::clamp(x / step, -128.0, 127.0)) / (1 << (8 - bits))), lowest, highest);
      expected += (i + 1) * (inside ? q - v : (v < lowest ? lowest : highest));
    }
    expected *= wide / std::sqrt(9.0 * highest);
    CHECK(log_step.grad().item<double>() == doctest::Approx(expected).epsilon(1e-3));
  }
}

TEST_CASE("quant/fake_quant: beyond the clips gradients are the difference quotients, at the middle of a bin the step has none") {
  constexpr double kStep = 0.02;
  constexpr float kBy = 1e-2F;  // of the step's logarithm: the quotient is off by a sixth of its square
  for (int bits = 2; bits <= 8; ++bits) {
    INFO("bits ", bits);
    const double wide = kStep * (1 << (8 - bits));
    const int lowest = integer::signed_lowest(bits), highest = integer::signed_highest(bits);
    const auto sum = [&](const Tensor& w, double log_step) { return quantize_weights(w, torch::full({1}, log_step), bits).sum().item<double>(); };
    const auto gradients = [&](const Tensor& at) {
      Tensor w = at.clone().set_requires_grad(true), log_step = torch::full({1}, std::log(kStep)).set_requires_grad(true);
      quantize_weights(w, log_step, bits).sum().backward();
      return std::pair{w.grad(), log_step.grad().item<double>() * std::sqrt(static_cast<double>(at.numel()) * highest)};
    };
    for (const double side : {-1.0, 1.0}) {
      const Tensor clipped = torch::tensor({3.0, 5.0, 9.0}).to(torch::kFloat).view({1, 3}) * static_cast<float>(side);
      const auto [of_weights, of_step] = gradients(clipped);
      const double quotient = (sum(clipped, std::log(kStep) + kBy) - sum(clipped, std::log(kStep) - kBy)) / (2 * kBy);
      CHECK(of_step == doctest::Approx(quotient).epsilon(1e-3).scale(0));
      CHECK(sum(clipped * 1.01, std::log(kStep)) == sum(clipped, std::log(kStep)));
      CHECK(of_weights.abs().max().item<double>() == 0);
    }
    // The two outermost codes stand on the edge of the clips.
    const Tensor middles = torch::arange(lowest + 1, highest).to(torch::kFloat).view({1, -1}) * static_cast<float>(wide);
    const auto [of_weights, of_step] = gradients(middles);
    CHECK(std::abs(of_step) < 1e-3 * wide * static_cast<double>(middles.numel()));  // code and value agree there, but for float32
    // Straight-through is the quotient over a whole bin.
    const Tensor log_step = torch::full({1}, std::log(kStep));
    const Tensor moved = quantize_weights(middles + static_cast<float>(wide), log_step, bits) - quantize_weights(middles, log_step, bits);
    CHECK(torch::allclose(moved / wide, of_weights, 1e-4, 1e-4));
  }
}

TEST_CASE("quant/fake_quant: activation gradients follow the learned-step-size rule, unsigned and signed") {
  for (const bool is_signed : {false, true}) {
    for (int bits = 2; bits <= 8; bits += 2) {
      const double step = 0.1, lowest = is_signed ? integer::signed_lowest(bits) : 0;
      const double highest = is_signed ? integer::signed_highest(bits) : integer::unsigned_highest(bits);
      Tensor x = (torch::arange(-40, 40).to(torch::kFloat) * 0.37 + 0.013).reshape({1, 2, 4, 10}).set_requires_grad(true);
      Tensor log_step = torch::full({1}, std::log(step)).set_requires_grad(true);
      const Tensor q = quantize_activations(x, {log_step, bits, is_signed});
      q.sum().backward();
      double expected = 0;
      const Tensor flat = x.detach().flatten(), grad = x.grad().flatten(), out = q.detach().flatten();
      for (int i = 0; i < 80; ++i) {
        const double v = flat[i].item<double>(), u = v / step;
        INFO("signed ", is_signed, " bits ", bits, " value ", v);
        CHECK(grad[i].item<double>() == doctest::Approx(u >= lowest && u <= highest ? 1.0 : 0.0).epsilon(1e-3));
        CHECK(out[i].item<double>() == doctest::Approx(step * std::nearbyint(std::clamp(u, lowest, highest))).epsilon(1e-4));
        expected += step_rule(v, step, lowest, highest);
      }
      CHECK(log_step.grad().item<double>() == doctest::Approx(expected * step / std::sqrt(80.0 * highest)).epsilon(1e-2));
    }
  }
}

TEST_CASE("quant/fake_quant: normalisation, residual and ReLU give the values and gradients of the library's composition") {
  torch::manual_seed(3);
  for (const bool training : {true, false}) {
    const Tensor src = torch::randn({4, 6, 5, 5}), other = torch::randn({4, 6, 5, 5}), upstream = torch::randn({4, 6, 5, 5});
    const Tensor gamma = torch::rand({6}) + 0.5, beta = torch::randn({6}), mean = torch::randn({6}), variance = torch::rand({6}) + 0.5;
    std::vector<std::vector<Tensor>> results;
    for (const bool fused : {true, false}) {
      Tensor x = src.clone().set_requires_grad(true), r = other.clone().set_requires_grad(true);
      Tensor g = gamma.clone().set_requires_grad(true), b = beta.clone().set_requires_grad(true);
      Tensor m = mean.clone(), v = variance.clone(), y;
      if (fused) y = normalize_quantize(x, g, b, {m, v, training, 0.1}, r, /*relu=*/true, /*want_value=*/true, {}).value;
      else y = torch::relu(torch::batch_norm(x, g, b, m, v, training, 0.1, 1e-5, false) + r);
      (y * upstream).sum().backward();
      results.push_back({y.detach(), x.grad(), r.grad(), g.grad(), b.grad(), m, v});
    }
    for (std::size_t i = 0; i < results[0].size(); ++i) {
      INFO("training ", training, " tensor ", i);
      CHECK(torch::allclose(results[0][i].contiguous(), results[1][i].contiguous(), 1e-3, 1e-4));
    }
  }
}

TEST_CASE("quant/fake_quant: several copies of one value share its gradient") {
  torch::manual_seed(4);
  const Tensor src = torch::randn({2, 8, 4, 4});
  Tensor x = src.clone().set_requires_grad(true);
  const Tensor ones = torch::ones({8}), zeros = torch::zeros({8}), step = torch::full({1}, std::log(0.05));
  const NormalizationState state{zeros.clone(), ones.clone(), /*training=*/false, 0};
  const FusedOutputs outputs = normalize_quantize(x, ones, zeros, state, {}, true, true, {{step, 8, false}, {step + std::log(8.0), 4, false}});
  (outputs.value + 2 * outputs.quantized[0] + 3 * outputs.quantized[1]).sum().backward();
  const double scale = 1 / std::sqrt(1 + 1e-5);
  for (std::int64_t i = 0; i < src.numel(); ++i) {
    const double v = src.flatten()[i].item<double>() * scale;
    double expected = v > 0 ? 1 : 0;
    if (v >= 0 && v <= 0.05 * 255) expected += 2;
    if (v >= 0 && v <= 0.4 * 15) expected += 3;
    CHECK(x.grad().flatten()[i].item<double>() == doctest::Approx(expected * scale).epsilon(1e-3));
  }
}

TEST_CASE("quant/fake_quant: the searched step loses less than its neighbours and falls with more bits") {
  torch::manual_seed(5);
  const Tensor x = torch::randn({4096});
  double before = 1e9;
  for (int bits = 2; bits <= 8; ++bits) {
    const double step = std::exp(search_log_step(x, bits, /*is_signed=*/true));
    auto error = [&](double s) {
      return ((x / s).clamp(integer::signed_lowest(bits), integer::signed_highest(bits)).round() * s - x).square().mean().item<double>();
    };
    INFO("bits ", bits);
    CHECK(error(step) < before);  // the loss of an optimal quantiser falls strictly with its width
    CHECK(error(step) <= error(step * 1.6));
    CHECK(error(step) <= error(step * 0.6));
    before = error(step);
  }
}
