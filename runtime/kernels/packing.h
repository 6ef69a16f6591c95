#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/kernels/kernels.h"

namespace bitpilot {

/// Effective weights of one convolution: [out][in][taps], dense, or [channels][taps] of a depthwise one (in = 1).
struct EffectiveWeights {
  int out = 0, in = 0, taps = 0;
  bool depthwise = false;
  std::vector<std::int16_t> values;
  int lowest() const;
  int highest() const;
};

/// Weights as Kernels::conv reads them, 64-byte aligned, zero where there is no filter or channel.
struct PackedWeights {
  Packing packing;
  /// Of kBytes: entry i is what a pair of channels can add up to per unit of a code, up or down, in kWindows[i]
  /// steps in a row from any multiple of as many on.  Empty: not such weights.
  std::vector<int> reach;
  /// Most steps (input quad x tap) that sums of 16 bits over a pair of channels hold for codes up to `code_bound`; 1 if
  /// not more than that.
  int narrow_steps(int code_bound) const;
  std::size_t group_bytes = 0;
  const std::uint8_t* data() const { return data_.get(); }

  struct Free {
    void operator()(std::uint8_t* memory) const;
  };
  std::unique_ptr<std::uint8_t[], Free> data_;
};

PackedWeights pack_weights(const EffectiveWeights& weights, Packing packing);

}  // namespace bitpilot
