#include "policy/ridge_regression.h"

#include <doctest/doctest.h>

#include "runtime/core/random.h"

using namespace bitpilot;

TEST_CASE("policy/ridge_regression: a linear function comes back, and an input that never changes gets no weight") {
  Random random(4, "ridge");
  Rows inputs{3, {}}, targets{2, {}};
  for (int i = 0; i < 2000; ++i) {
    const auto a = static_cast<float>(random.normal()), b = static_cast<float>(random.normal());
    inputs.values.insert(inputs.values.end(), {a, b, 0.0F});
    targets.values.insert(targets.values.end(), {2 * a - b + 5, 0.5F * b});
  }
  const RealMlp found = fit_ridge_regression(inputs, targets, 1e-3);
  REQUIRE(found.size() == 1);
  const float expected[] = {2, -1, 0, 0, 0.5F, 0};
  for (std::size_t i = 0; i < 6; ++i) CHECK(found[0].weights[i] == doctest::Approx(expected[i]).epsilon(1e-4).scale(1));
  CHECK(found[0].bias[0] == doctest::Approx(5).epsilon(1e-4));
  CHECK(found[0].bias[1] == doctest::Approx(0).epsilon(1e-4).scale(1));
}

TEST_CASE("policy/ridge_regression: ridge counts as so many rows that ask for 0, and leaves the mean alone") {
  const Rows inputs{1, {-1, 1, -1, 1}}, targets{1, {2, 8, 2, 8}};
  // Slope 12 / (4 + ridge) around a mean of 5.
  for (const double ridge : {1.0, 4.0, 20.0}) {
    const RealMlp found = fit_ridge_regression(inputs, targets, ridge);
    CHECK(found[0].weights[0] == doctest::Approx(12 / (4 + ridge)));
    CHECK(found[0].bias[0] == doctest::Approx(5));
  }
}
