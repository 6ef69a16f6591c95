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
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi")
namespace bitpilot::avx512vbmi {
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

/// With vpermb: an index of 6 bits.
constexpr int kTableChannels = 3;
constexpr bool kRoomForWords = true;
constexpr int kTableBlocks = 1;

inline Vec splat_bytes(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
inline Vec splat_words(int value) { return _mm512_set1_epi16(static_cast<std::int16_t>(value)); }
inline Vec look_up(Vec acc, Vec table, Vec index) {
  const Vec found = _mm512_permutexvar_epi8(index, table);
  asm("vpaddb %1, %0, %0" : "+v"(acc) : "v"(found));  // one register before and after
  return acc;
}
inline void add_to_words(Vec* raw, Vec* odd, Vec bytes) {
  *raw = _mm512_add_epi16(*raw, bytes);
  *odd = _mm512_add_epi16(*odd, _mm512_srli_epi16(bytes, 8));
}

/// Sixteen-bit sums of 64 filters in their order: four vectors of sixteen.
struct WideSums {
  WideSums(Vec raw, Vec odd, Vec starts) {
    const Vec even = _mm512_sub_epi16(_mm512_sub_epi16(raw, _mm512_slli_epi16(odd, 8)), starts);
    const Vec other = _mm512_sub_epi16(odd, starts);
    low = _mm512_unpacklo_epi16(even, other);
    high = _mm512_unpackhi_epi16(even, other);
  }
  template <int PART>
  Vec part() const {
    const __m256i words = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm512_extracti32x4_epi32(low, PART)),
                                                  _mm512_extracti32x4_epi32(high, PART), 1);
    return _mm512_cvtepi16_epi32(words);
  }
  Vec low, high;
};

#include "runtime/kernels/conv_tables.inl.h"

int packings(const ConvShape& shape, Packing (&legal)[kMaxPackings]) {
  const Packing tables{Packing::Format::kTables, kTableFilters, Packing::Lanes::kFilters};
  const bool fit = tables_fit(shape) && shape.out % kTableFilters == 0;
  // A 1x1 layer has too little to compute to make up for the change of form, and so have few channels; filters that are not wanted fill
  // up a vector for nothing.
  const bool tables_first = shape.kernel > 1 && shape.in >= 128 && shape.active_out % kTableFilters == 0;
  int count = 0;
  if (fit && tables_first) legal[count++] = tables;
  count = packings512(shape, legal, count);
  if (fit && !tables_first) legal[count++] = tables;
  return count;
}

void conv_prepared(const PreparedTask& task) {
  if (task.packing.format == Packing::Format::kTables)
    conv_by_table_filters(task);
  else
    conv512(task);
}

void conv(const ConvTask& task) { prepared(task, conv_prepared); }

/// Codes of one quad, or zeros where there is none.
inline Vec codes_of_quad(const PairTask& task, int quad, std::size_t at, Vec mask) {
  if (quad >= task.quads) return splat(0);
  return _mm512_and_si512(load(task.src + static_cast<std::size_t>(quad) * task.src_plane + at), mask);
}

void pair(const PairTask& task) {
  const int bits = table_bits(task.code_bound);
  const Vec mask = splat_bytes((1 << bits) - 1);  // whatever stands there, the table exists
  const __m128i once = _mm_cvtsi32_si128(bits), twice = _mm_cvtsi32_si128(2 * bits);
  const auto place = [&](Vec c0, Vec c1, Vec c2) {
    const Vec code = merge(c0, merge(_mm512_sll_epi16(c1, once), _mm512_sll_epi16(c2, twice)));
    return _mm512_slli_epi16(code, 6);  // 64 bytes a table
  };
  for (int quad = 0; quad < task.quads; quad += 3) {
    std::uint8_t* const even = task.dst + static_cast<std::size_t>(quad / 3 * 2) * task.dst_plane;
    for (std::size_t at = 0; at < task.src_plane; at += sizeof(Vec)) {
      const Vec q0 = codes_of_quad(task, quad, at, mask), q1 = codes_of_quad(task, quad + 1, at, mask),
                q2 = codes_of_quad(task, quad + 2, at, mask);
      _mm512_storeu_si512(even + at, place(even_bytes(q0), even_bytes(q1), even_bytes(q2)));
      _mm512_storeu_si512(even + task.dst_plane + at, place(odd_bytes(q0), odd_bytes(q1), odd_bytes(q2)));
    }
  }
}

std::int64_t peak(int rounds) { return peak_of<Bytes>(rounds); }

}  // namespace
}  // namespace bitpilot::avx512vbmi
#pragma GCC pop_options

namespace bitpilot {
// Below the region: it must run on any processor.  The builtin asks cpuid and xgetbv.
static bool avx512vbmi_supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
         __builtin_cpu_supports("avx512vbmi");
}
const Kernels kAvx512VbmiKernels{"avx512vbmi",         true,
                                 avx512vbmi_supported, avx512vbmi::packings,
                                 avx512vbmi::conv,     avx512vbmi::pair,
                                 avx512vbmi::max_pool, avx512vbmi::gather,
                                 avx512vbmi::recode,   avx512vbmi::channel_sums,
                                 avx512vbmi::linear,   avx512vbmi::peak};
}  // namespace bitpilot
#endif
