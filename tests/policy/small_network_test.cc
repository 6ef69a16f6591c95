#include "policy/small_network.h"

#include <doctest/doctest.h>

#include <cmath>

#include "policy/export.h"
#include "policy/stop_rule.h"
#include "runtime/core/random.h"

using namespace bitpilot;

namespace {

/// y = |x0| - 0.5 x1 with three inputs that do not matter.
void made_up(std::size_t count, Rows& inputs, Rows& targets) {
  inputs = {5, {}};
  targets = {1, {}};
  for (std::size_t i = 0; i < count; ++i) {
    Random random(1, "regression", i);
    float x[5];
    for (float& v : x) v = static_cast<float>(random.normal());
    inputs.values.insert(inputs.values.end(), x, x + 5);
    targets.values.push_back(std::abs(x[0]) - 0.5F * x[1]);
  }
}

double mean_square(const Rows& a, const Rows& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) sum += (a.values[i] - b.values[i]) * (a.values[i] - b.values[i]);
  return sum / static_cast<double>(a.values.size());
}

}  // namespace

TEST_CASE("policy/small_network: regression learns, and the same seed gives the same network") {
  Rows x, y;
  made_up(4000, x, y);
  FitOptions options;
  options.epochs = 40;
  options.learning_rate = 1e-2;
  const RealMlp network = fit_regression(x, y, {}, options), again = fit_regression(x, y, {}, options);
  CHECK(mean_square(evaluate_network(network, x), y) < 0.02);
  CHECK(network.front().weights == again.front().weights);
  options.seed = 1;
  CHECK(fit_regression(x, y, {}, options).front().weights != network.front().weights);
  options.epochs = 0;
  options.start_at_zero = true;
  for (const float v : evaluate_network(fit_regression(x, y, {}, options), x).values) CHECK(v == 0.0F);
}

TEST_CASE("policy/export: the integer network says what the real one says") {
  Rows x, y;
  made_up(4000, x, y);
  FitOptions options;
  options.epochs = 40;
  options.learning_rate = 1e-2;
  const RealMlp network = fit_regression(x, y, {}, options);
  const IntegerMlp integer = to_integer(network, x);
  CHECK(mean_square(apply_integer(integer, x), evaluate_network(network, rounded_inputs(x))) < 1e-3);
  CHECK(integer.macs() == 5 * 16 + 16);
}

TEST_CASE("policy/stop_rule: the isotonic fit is the nearest non-decreasing sequence") {
  CHECK(isotonic({1, 2, 3}) == std::vector<double>{1, 2, 3});
  CHECK(isotonic({3, 1, 2}) == std::vector<double>{2, 2, 2});
  CHECK(isotonic({1, 3, 2, 4}) == std::vector<double>{1, 2.5, 2.5, 4});
  CHECK(isotonic({}).empty());
}
