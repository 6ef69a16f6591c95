#include "runtime/core/integer.h"

#include <doctest/doctest.h>

#include <limits>

using namespace bitpilot;

TEST_CASE("core/integer: rounding is half to even") {
  CHECK(integer::rne(0.5F) == 0);
  CHECK(integer::rne(1.5F) == 2);
  CHECK(integer::rne(2.5F) == 2);
  CHECK(integer::rne(-0.5F) == 0);
  CHECK(integer::rne(-1.5F) == -2);
}

TEST_CASE("core/integer: a nested code is the stored code divided, rounded half to even and clamped") {
  for (int bits = 2; bits <= 8; ++bits)
    for (int code = -128; code <= 127; ++code) {
      // Integer-only reference: floor, then up if above the middle, or at the middle and odd.
      const int unit = 1 << (8 - bits);
      int quotient = code >= 0 ? code / unit : -((-code + unit - 1) / unit);
      const int twice = 2 * (code - quotient * unit);
      if (twice > unit || (twice == unit && quotient % 2 != 0)) ++quotient;
      const int expected = std::min(std::max(quotient, -(1 << (bits - 1))), (1 << (bits - 1)) - 1);
      CHECK(integer::nested_code(code, bits) == expected);
    }
}

TEST_CASE("core/integer: the accumulator decodes every Form") {
  // Sum over two weights of (a - z) * real weight, in units of step / g, against the accumulator.
  const int zero_point = 3;
  for (int bits = 2; bits <= 8; ++bits)
    for (const Symmetry symmetry :
         {Symmetry::kSymmetric, Symmetry::kAsymmetric, Symmetry::kNoZero, Symmetry::kBinMiddle}) {
      const int weight_zero = symmetry == Symmetry::kAsymmetric ? 1 : 0;
      const integer::NarrowWeight narrow(symmetry, bits, bits, weight_zero);
      const integer::AccumulatorForm form = narrow.form();
      const int lowest = symmetry == Symmetry::kNoZero ? 0 : integer::signed_lowest(bits);
      for (int q = lowest; q <= lowest + integer::unsigned_highest(bits); ++q)
        for (const int activation : {0, 3, 200}) {
          const int code = narrow.code(static_cast<std::int8_t>(q));  // as it is stored
          CHECK(code >= -128);
          CHECK(code <= 127);
          const int difference = activation - zero_point;
          const int acc = form.g * difference * code + form.h * difference;
          int expected = difference * q;  // symmetric
          if (symmetry == Symmetry::kAsymmetric) expected = difference * (q - weight_zero);
          if (symmetry == Symmetry::kNoZero) expected = difference * (2 * q - integer::unsigned_highest(bits));
          if (symmetry == Symmetry::kBinMiddle) expected = difference * (2 * q + 1);
          CHECK(acc == expected);
        }
    }
}

TEST_CASE("core/integer: narrower codes of truncating Forms are the leading bits of the stored one") {
  for (int bits = 2; bits <= 8; ++bits)
    for (int code = -128; code <= 127; ++code) {
      CHECK(integer::NarrowWeight(Symmetry::kBinMiddle, 8, bits, 0).code(code) == (code >> (8 - bits)));
      CHECK(integer::NarrowWeight(Symmetry::kSymmetric, 8, bits, 0).code(code) == integer::nested_code(code, bits));
      const int leading = (code & 255) >> (8 - bits);
      CHECK(integer::NarrowWeight(Symmetry::kNoZero, 8, bits, 0).code(code) == (bits == 8 ? leading - 128 : leading));
    }
}

TEST_CASE("core/integer: codes are clamped for any value, infinite ones too") {
  CHECK(integer::code(std::numeric_limits<float>::infinity(), 0, 4) == 15);
  CHECK(integer::code(-std::numeric_limits<float>::infinity(), 8, 4) == 0);
  CHECK(integer::code(1e30F, 128, 8) == 255);
  CHECK(integer::code(2.5F, 128, 8) == 130);
  CHECK(integer::code(-3.0F, 0, 8) == 0);  // ReLU
}

TEST_CASE("core/integer: the sum of accumulator and bias is rounded once to float32") {
  CHECK(integer::scaled(16777216, 1, 1.0F) == 16777216.0F);
  CHECK(integer::scaled(3, -1, 0.5F) == 1.0F);
  CHECK(integer::add_carry(1.0F, 130, 128, 0.25F) == 1.5F);
}
