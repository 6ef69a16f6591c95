#include "runtime/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

#define BITPILOT_UNROLL _Pragma("GCC unroll 16")
#define BITPILOT_FENCE asm volatile("" ::: "memory")

#pragma GCC push_options
#pragma GCC target("avx2")
namespace bitpilot::avx2 {
namespace {

#include "runtime/kernels/vectors256.inl.h"

/// acc += value in one register before and after: g++ 12 re-associates, copies and spills the sums otherwise.
inline void accumulate(Vec& acc, Vec value) { asm("vpaddd %1, %0, %0" : "+x"(acc) : "x"(value)); }
inline void accumulate_words(Vec& acc, Vec value) { asm("vpaddw %1, %0, %0" : "+x"(acc) : "x"(value)); }

inline Vec multiply_add_words(Vec acc, Vec a, Vec b) {
  accumulate(acc, _mm256_madd_epi16(a, b));
  return acc;
}
/// maddubs adds two u8 x s8 products in 16 bits and saturates: packing() allows it only where the pair cannot pass
/// 32767.
struct Bytes {
  using Input = Vec;
  using Weight = Vec;
  static constexpr int kFilterBytes = 4;
  static constexpr bool kNarrow = false, kOneChannel = false;
  static Vec prepare(Vec codes) { return codes; }
  static Vec weight(const std::uint8_t* from) { return broadcast(from); }
  static Vec multiply_add(Vec acc, Vec codes, Vec weight) {
    accumulate(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, weight), _mm256_set1_epi16(1)));
    return acc;
  }
};

/// The same with sums kept in 16 bits for as many steps as they cannot overflow: worth it from kNarrowSteps on.
struct NarrowBytes : Bytes {
  static constexpr bool kNarrow = true;
  static Vec multiply_add(Vec acc, Vec codes, Vec weight) {
    accumulate_words(acc, _mm256_maddubs_epi16(codes, weight));
    return acc;
  }
  static Vec widened(Vec acc) { return _mm256_madd_epi16(acc, _mm256_set1_epi16(1)); }
};
constexpr int kNarrowSteps = 4;

// How every loop ends.
#include "runtime/kernels/conv_epilogue.inl.h"
// The loops.
#include "runtime/kernels/conv.inl.h"
#include "runtime/kernels/conv_filters.inl.h"
// After both.
#include "runtime/kernels/conv_depthwise.inl.h"
#include "runtime/kernels/pixels.inl.h"
// Product tables.
#include "runtime/kernels/vectors_tables256.inl.h"
// Their loops ask for the vectors above.
#include "runtime/kernels/conv_tables.inl.h"
#include "runtime/kernels/conv_tables_pixels.inl.h"
#include "runtime/kernels/tables256.inl.h"

int packings(const ConvShape& shape, Packing (&legal)[kMaxPackings]) {
  const int bound = shape.highest > -shape.lowest ? shape.highest : -shape.lowest;
  const bool bytes = shape.lowest >= -128 && shape.highest <= 127 && 2 * bound * shape.code_bound <= 32767;
  // A 1x1 layer has too little to compute to make up for the change of form, as a rule.
  return packings_with_tables256(shape, bytes, shape.kernel > 1, legal);
}

void conv_prepared(const PreparedTask& task) {
  const bool narrow = task.narrow_steps >= kNarrowSteps;
  if (task.packing.format == Packing::Format::kTables)
    conv_by_tables(task);
  else if (task.packing.lanes == Packing::Lanes::kFilters && narrow)
    conv_by_filters<NarrowBytes, 4>(task);
  else if (task.packing.lanes == Packing::Lanes::kFilters)
    conv_by_filters<Bytes, 4>(task);
  else if (task.packing.lanes == Packing::Lanes::kTaps)
    conv_depthwise<Bytes>(task);
  else if (task.packing.format == Packing::Format::kWords && task.quad_step == 1)
    conv_by_pixels<OwnWords, 4, 2, 4>(task);
  else if (task.packing.format == Packing::Format::kWords)
    conv_by_pixels<Words, 4, 2, 4>(task);
  else if (narrow)
    conv_by_pixels<NarrowBytes, 4, 2, 4>(task);
  else
    conv_by_pixels<Bytes, 4, 2, 4>(task);
}

void conv(const ConvTask& task) { prepared(task, conv_prepared); }

std::int64_t peak(int rounds) { return peak_of<NarrowBytes>(rounds); }

}  // namespace
}  // namespace bitpilot::avx2
#pragma GCC pop_options

namespace bitpilot {
// Below the region: it must run on any processor.  The builtin asks cpuid and xgetbv.
static bool avx2_supported() { return __builtin_cpu_supports("avx2"); }
const Kernels kAvx2Kernels{"avx2",         true,         avx2_supported, avx2::packings,     avx2::conv,   avx2::pair,
                           avx2::max_pool, avx2::gather, avx2::recode,   avx2::channel_sums, avx2::linear, avx2::peak};
}  // namespace bitpilot
#endif
