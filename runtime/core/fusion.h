#pragma once

#include <vector>

#include "runtime/core/network.h"

namespace bitpilot {

/// One fused step of quantised inference: a weight layer, the Add that it feeds as the later operand (if any), ReLU and
/// pool behind.  The engine's plan and the training side's integer evaluation are both built from these steps, and from
/// nothing else.
///
/// Values.  f = float32(acc + bias) * multiplier[o] (+ carry of `add_operand`, integer::add_carry), then one code per
///          output: clamp(rne(f / step) + z, 0, 2^bits - 1).  ReLU is the clamp at z = 0.  A pool acts on the codes.
/// Outputs  - `carry`: an 8-bit code for Adds (ModelData::carries);
///          - one code for each distinct (activation bits, input step, zero point) among `readers`.
///          With exactly one output and no Add the multiplier is float32(m / step): one product.  Otherwise the
///          multiplier is float32(m) in real units and each output multiplies f by float32(1 / step).
/// Stem     layer 0 writes a single 8-bit code (its carry; one product), and each reader's code comes from it by a
///          256-entry table: clamp(rne(float(c - z_stem) * float32(step_stem / step_a)) + z_a, 0, 2^a - 1).  A pool
///          behind the stem acts on the 8-bit code.
/// Pool     kGlobalAvgPool: the reader is a Linear layer; its input is the int32 sum of the 8-bit reader code over
///          H x W, and 1 / (H W) is folded into that layer's multiplier.
/// Classifier  scores = float32(acc + bias) * multiplier[o], no code.
struct FusedStep {
  int layer = -1;
  int conv_node = -1;
  int add_node = -1;             ///< the Add that this layer feeds as its later operand, -1 if none
  int add_operand = -1;          ///< step whose carry is added (index into the result of fuse()), -1 if none
  bool relu = false;             ///< ReLU behind (after the Add): zero point 0, otherwise 8-bit carries have z = 128
  int pool_node = -1;            ///< MaxPool or GlobalAvgPool behind, -1 if none
  int source = -1;               ///< step whose output this layer reads, -1 = the network's input
  int value_node = -1;           ///< last node of the step before a pool: names the value
  int out_node = -1;             ///< last node of the step, pool included
  Shape value_shape, out_shape;  ///< before and after the pool
  bool carry = false;            ///< an Add reads this value (or it is the stem)
  std::vector<int> readers;      ///< weight layers that read this value
};

/// Steps in execution order, one per weight layer (steps[l].layer == l).  Throws Error(kData) for graphs that the
/// runtime cannot run (an Add whose later operand is no convolution, two pools in a row, a value that nobody reads).
std::vector<FusedStep> fuse(const Network& network);

}  // namespace bitpilot
