#include "runtime/engine/step_numbers.h"

#include <doctest/doctest.h>

using namespace bitpilot;

TEST_CASE("engine: a step is bounded where no int32 and no carry code can leave int32 in units of its code") {
  StepNumbers numbers;
  numbers.multiplier = {0.01F, -0.4F, 0.0F};
  CHECK(stays_bounded(numbers, 0.0F, 1.0F));
  CHECK(stays_bounded(numbers, 0.3F, 1.0F));
  CHECK_FALSE(stays_bounded(numbers, 0.0F, 2.0F));
  CHECK_FALSE(stays_bounded(numbers, 1e7F, 1.0F));
  numbers.multiplier[1] = -0.6F;
  CHECK_FALSE(stays_bounded(numbers, 0.0F, 1.0F));
  CHECK(stays_bounded(numbers, 0.0F, 0.5F));
}
