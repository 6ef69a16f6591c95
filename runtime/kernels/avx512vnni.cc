#include "runtime/kernels/kernels.h"

#if defined(__x86_64__)
// g++ 12 sees the intrinsics' own "undefined" operands as uninitialised.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <algorithm>

#define BITPILOT_UNROLL _Pragma("GCC unroll 16")
#define BITPILOT_FENCE asm volatile("" ::: "memory")

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512vnni")
namespace bitpilot::avx512vnni {
namespace {

#include "runtime/kernels/vectors512.inl.h"
// How every loop ends.
#include "runtime/kernels/conv_epilogue.inl.h"
// The loops ask for the vectors above.
#include "runtime/kernels/conv.inl.h"
#include "runtime/kernels/conv_filters.inl.h"
// After both.
#include "runtime/kernels/conv_depthwise.inl.h"
#include "runtime/kernels/pixels.inl.h"
// Which of them a layer takes.
#include "runtime/kernels/conv512.inl.h"

int packings(const ConvShape& shape, Packing (&legal)[kMaxPackings]) { return packings512(shape, legal, 0); }

void conv(const ConvTask& task) { prepared(task, conv512); }

std::int64_t peak(int rounds) { return peak_of<Bytes>(rounds); }

}  // namespace
}  // namespace bitpilot::avx512vnni
#pragma GCC pop_options

namespace bitpilot {
// Below the region: it must run on any processor.  The builtin asks cpuid and xgetbv.
static bool avx512vnni_supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
const Kernels kAvx512VnniKernels{"avx512vnni",         false,
                                 avx512vnni_supported, avx512vnni::packings,
                                 avx512vnni::conv,     nullptr,
                                 avx512vnni::max_pool, avx512vnni::gather,
                                 avx512vnni::recode,   avx512vnni::channel_sums,
                                 avx512vnni::linear,   avx512vnni::peak};
}  // namespace bitpilot
#endif
