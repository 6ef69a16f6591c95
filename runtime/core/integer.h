#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "runtime/core/bit_width.h"

/// The one meaning of quantised inference.  The training side's evaluation and every kernel on every ISA give exactly
/// these codes. Files that use it are compiled with -ffp-contract=off: a fused multiply-add would change bits.
namespace bitpilot::integer {

/// Round half to even, as torch::round and cvtps_epi32 do (needs the default rounding mode).
inline float rne(float value) { return std::nearbyint(value); }
inline double rne(double value) { return std::nearbyint(value); }

inline constexpr int unsigned_highest(int bits) { return (1 << bits) - 1; }
inline constexpr int signed_lowest(int bits) { return -(1 << (bits - 1)); }
inline constexpr int signed_highest(int bits) { return (1 << (bits - 1)) - 1; }

/// The `bits`-wide weight code that follows from a stored 8-bit code by Double Rounding:
/// clamp(rne(code / 2^(8-bits)), -2^(bits-1), 2^(bits-1)-1); its step is 2^(8-bits) stored steps.
/// Source: Nearly Lossless Adaptive Bit Switching, arXiv:2502.01199.
inline int nested_code(int code, int bits) {
  const double quotient = static_cast<double>(code) / static_cast<double>(1 << (8 - bits));
  return std::clamp(static_cast<int>(rne(quotient)), signed_lowest(bits), signed_highest(bits));
}

/// acc = g * sum((q_a - z_a) * q_w) + h * sum(q_a - z_a), int32.
struct AccumulatorForm {
  int g = 1;
  int h = 0;
};

/// (g, h) of a weight Form: (1,0) symmetric, (1,-z_w) asymmetric, (2,-(2^bits-1)) without zero, (2,1) bin-middle.
inline AccumulatorForm accumulator_form(Symmetry symmetry, int weight_bits, int weight_zero_point) {
  switch (symmetry) {
    case Symmetry::kSymmetric:
      return {1, 0};
    case Symmetry::kAsymmetric:
      return {1, -weight_zero_point};
    case Symmetry::kNoZero:
      return {2, -unsigned_highest(weight_bits)};
    case Symmetry::kBinMiddle:
      return {2, 1};
  }
  return {1, 0};
}

/// Turns the stored weight codes of a layer into the codes and the (g, h) of a narrower width, for every Form.
///   kSymmetric, kAsymmetric  Double Rounding of codes and zero point (nested_code).
///   kBinMiddle               arithmetic shift.
///   kNoZero                  codes are unsigned, 0..2^stored_bits - 1 (at 8 bits as the int8 of the same byte), and
///                            narrow by a shift.  At 8 bits they come out as q - 128 with (2, 1): the same accumulator
///                            in codes that fit int8.
/// stored_bits is 8, or equal to bits.  The step of the narrow code is 2^(stored_bits - bits) stored steps.
class NarrowWeight {
 public:
  NarrowWeight(Symmetry symmetry, int stored_bits, int bits, int zero_point)
      : symmetry_(symmetry),
        stored_bits_(stored_bits),
        bits_(bits),
        form_(accumulator_form(symmetry, bits, rounded(zero_point))) {
    if (symmetry == Symmetry::kNoZero && bits == 8) form_ = {2, 1};
  }
  AccumulatorForm form() const { return form_; }
  int code(int stored) const {
    const int drop = stored_bits_ - bits_;
    if (symmetry_ == Symmetry::kBinMiddle) return stored >> drop;
    if (symmetry_ != Symmetry::kNoZero) return rounded(stored);
    const int unsigned_code = (stored & unsigned_highest(stored_bits_)) >> drop;
    return bits_ == 8 ? unsigned_code - 128 : unsigned_code;
  }
  /// code() of every stored byte, read as unsigned: for whole layers.
  std::array<std::int8_t, 256> all_codes() const {
    std::array<std::int8_t, 256> codes{};
    for (int stored = -128; stored < 128; ++stored)
      codes[static_cast<std::uint8_t>(stored)] = static_cast<std::int8_t>(code(stored));
    return codes;
  }

 private:
  int rounded(int stored) const { return stored_bits_ == bits_ ? stored : nested_code(stored, bits_); }
  Symmetry symmetry_;
  int stored_bits_, bits_;
  AccumulatorForm form_;
};

/// int32 -> float32, one float32 product.  `multiplier` is in units of the destination.
inline float scaled(std::int32_t acc, std::int32_t bias, float multiplier) {
  return static_cast<float>(acc + bias) * multiplier;
}

/// clamp(rne(value) + zero_point, 0, 2^bits - 1): value is already in units of the code's step.
inline int code(float value, int zero_point, int bits) {
  const float highest = static_cast<float>(unsigned_highest(bits));
  const float shifted = rne(std::clamp(value, -65536.0F, 65536.0F)) + static_cast<float>(zero_point);
  return static_cast<int>(std::clamp(shifted, 0.0F, highest));
}

/// The later operand's value plus the earlier operand's carry: two roundings, in this order, in real units.
inline float add_carry(float value, int carry, int carry_zero_point, float carry_step) {
  const float residual = static_cast<float>(carry - carry_zero_point) * carry_step;
  return value + residual;
}

}  // namespace bitpilot::integer
