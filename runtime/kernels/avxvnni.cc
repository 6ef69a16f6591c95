#include "runtime/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

#define BITPILOT_UNROLL _Pragma("GCC unroll 16")
#define BITPILOT_FENCE asm volatile("" ::: "memory")

#pragma GCC push_options
#pragma GCC target("avx2,avxvnni")
namespace bitpilot::avxvnni {
namespace {

#include "runtime/kernels/vectors256.inl.h"

inline Vec multiply_add_words(Vec acc, Vec a, Vec b) {
  asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b));
  return acc;
}

/// One instruction takes four u8 x s8 products per lane, exact in 32 bits.
struct Bytes {
  using Input = Vec;
  using Weight = Vec;
  static constexpr int kFilterBytes = 4;
  static constexpr bool kNarrow = false, kOneChannel = false;
  static Vec prepare(Vec codes) { return codes; }
  static Vec weight(const std::uint8_t* from) { return broadcast(from); }
  static Vec multiply_add(Vec acc, Vec codes, Vec weight) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(codes), "x"(weight));
    return acc;
  }
};

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
  const bool bytes = shape.lowest >= -128 && shape.highest <= 127;
  // Where tables are shared, by two blocks of filters or two vectors of pixels, and there is work enough to make up for
  // the change of form.
  const bool shared = shape.active_out % (2 * kTableFilters) == 0 || (shape.code_bound <= 3 && shape.stride == 1);
  return packings_with_tables256(shape, bytes, shape.kernel > 1 && shared, legal);
}

void conv_prepared(const PreparedTask& task) {
  if (task.packing.format == Packing::Format::kTables)
    conv_by_tables(task);
  else if (task.packing.lanes == Packing::Lanes::kFilters)
    conv_by_filters<Bytes, 4>(task);
  else if (task.packing.lanes == Packing::Lanes::kTaps)
    conv_depthwise<Bytes>(task);
  else if (task.packing.format == Packing::Format::kWords && task.quad_step == 1)
    conv_by_pixels<OwnWords, 4, 2, 4>(task);
  else if (task.packing.format == Packing::Format::kWords)
    conv_by_pixels<Words, 4, 2, 4>(task);
  else
    conv_by_pixels<Bytes, 4, 2, 4>(task);
}

void conv(const ConvTask& task) { prepared(task, conv_prepared); }

std::int64_t peak(int rounds) { return peak_of<Bytes>(rounds); }

}  // namespace
}  // namespace bitpilot::avxvnni
#pragma GCC pop_options

namespace bitpilot {
// Below the region: it must run on any processor.  The builtin asks cpuid and xgetbv.
static bool avxvnni_supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avxvnni"); }
const Kernels kAvxVnniKernels{"avxvnni",         true,
                              avxvnni_supported, avxvnni::packings,
                              avxvnni::conv,     avxvnni::pair,
                              avxvnni::max_pool, avxvnni::gather,
                              avxvnni::recode,   avxvnni::channel_sums,
                              avxvnni::linear,   avxvnni::peak};
}  // namespace bitpilot
#endif
