#include "runtime/kernels/kernels.h"

#if defined(__x86_64__)
// g++ 12 sees the intrinsics' own "undefined" operands as uninitialised.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#define BITPILOT_UNROLL _Pragma("GCC unroll 16")
#define BITPILOT_FENCE asm volatile("" ::: "memory")

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512vnni")
namespace bitpilot::avx512vnni {
namespace {

using Vec = __m512i;
using Real = __m512;
constexpr int kLanes = 16;

inline Vec load(const std::uint8_t* from) { return _mm512_loadu_si512(from); }
inline Vec splat(int value) { return _mm512_set1_epi32(value); }
inline Real splat_real(float value) { return _mm512_set1_ps(value); }
inline Real to_real(Vec value) { return _mm512_cvtepi32_ps(value); }
inline Vec to_int(Real value) { return _mm512_cvtps_epi32(value); }
inline Real multiply(Real a, Real b) { return _mm512_mul_ps(a, b); }
inline Real plus(Real a, Real b) { return _mm512_add_ps(a, b); }
inline Real at_least(Real value, Real lowest) { return _mm512_max_ps(value, lowest); }
inline Real at_most(Real value, Real highest) { return _mm512_min_ps(value, highest); }
inline Vec sum(Vec a, Vec b) { return _mm512_add_epi32(a, b); }
inline Vec minus(Vec a, Vec b) { return _mm512_sub_epi32(a, b); }
inline Vec product(Vec a, Vec b) { return _mm512_mullo_epi32(a, b); }
inline Vec merge(Vec a, Vec b) { return _mm512_or_si512(a, b); }
inline Vec larger_bytes(Vec a, Vec b) { return _mm512_max_epu8(a, b); }

template <int C>
inline Vec channel_of(Vec codes) {
  if (C == 3) return _mm512_srli_epi32(codes, 24);
  return _mm512_and_si512(C == 0 ? codes : _mm512_srli_epi32(codes, 8 * C), _mm512_set1_epi32(255));
}
template <int C>
inline Vec to_channel(Vec code) {
  return _mm512_slli_epi32(code, 8 * C);
}

inline __mmask16 lanes(const std::uint8_t* valid, int position) {
  return static_cast<__mmask16>(valid[position / 8] | (valid[position / 8 + 1] << 8));
}
inline void store_valid(std::uint8_t* to, Vec codes, const std::uint8_t* valid, int position) {
  _mm512_mask_storeu_epi32(to, lanes(valid, position), codes);
}
inline Vec load_valid(const std::uint8_t* from, const std::uint8_t* valid, int position) {
  return _mm512_maskz_loadu_epi32(lanes(valid, position), from);
}
inline void store_first(std::uint8_t* to, Vec pixels, int count) {
  _mm512_mask_storeu_epi32(to, static_cast<__mmask16>(count >= kLanes ? 0xffff : (1 << count) - 1), pixels);
}
inline Vec even_lanes(Vec a, Vec b) {
  const Vec index = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_epi32(a, index, b);
}
inline Vec load_words(const std::int16_t* from) {
  return _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline Vec load_all(const std::int32_t* from) { return _mm512_loadu_si512(from); }
inline void store_all(std::int32_t* to, Vec value) { _mm512_storeu_si512(to, value); }
inline std::int32_t total(Vec value) {
  alignas(64) std::int32_t lane[kLanes];
  _mm512_store_si512(lane, value);
  std::int32_t all = 0;
  for (const std::int32_t one : lane) all += one;
  return all;
}

/// One instruction takes four u8 x s8 products per lane.
struct Bytes {
  using Input = Vec;
  using Weight = Vec;
  static constexpr int kFilterBytes = 4;
  static constexpr bool kNarrow = false;
  static Vec prepare(Vec codes) { return codes; }
  static Vec weight(const std::uint8_t* from) {
    std::int32_t channels;
    __builtin_memcpy(&channels, from, sizeof(channels));
    Vec value = _mm512_set1_epi32(channels);
    asm("" : "+v"(value));  // one broadcast for all vectors of the tile, not one memory operand each
    return value;
  }
  static Vec multiply_add(Vec acc, Vec codes, Vec weight) {
    // As _mm512_dpbusd_epi32, but with one register for the sum before and after: g++ 12 copies and spills it
    // otherwise.
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(codes), "v"(weight));
    return acc;
  }
};

/// Effective weights beyond s8: even and odd channels apart, u16 x s16.
struct Words {
  struct Input {
    Vec even, odd;
  };
  struct Weight {
    Vec even, odd;
  };
  static constexpr int kFilterBytes = 8;
  static constexpr bool kNarrow = false;
  static Input prepare(Vec codes) {
    return {_mm512_and_si512(codes, _mm512_set1_epi16(255)), _mm512_srli_epi16(codes, 8)};
  }
  static Weight weight(const std::uint8_t* from) {
    std::int32_t pair[2];
    __builtin_memcpy(pair, from, sizeof(pair));
    return {_mm512_set1_epi32(pair[0]), _mm512_set1_epi32(pair[1])};
  }
  static Vec multiply_add(Vec acc, const Input& codes, const Weight& weight) {
    asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(codes.even), "v"(weight.even));
    asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(codes.odd), "v"(weight.odd));
    return acc;
  }
};

#include "runtime/kernels/conv.inl.h"
#include "runtime/kernels/pixels.inl.h"

Packing packing(bool depthwise, int lowest, int highest, int) {
  const bool bytes = lowest >= -128 && highest <= 127;
  return {bytes ? Packing::Format::kBytes : Packing::Format::kWords, bytes && !depthwise ? 8 : 4};
}

void conv(const ConvTask& task) {
  if (task.packing.format == Packing::Format::kWords)
    conv_groups<Words, 4, 4, 4>(task);
  else if (task.packing.group == 4)
    conv_groups<Bytes, 4, 4, 4>(task);
  else
    conv_groups<Bytes, 8, 3, 8>(task);
}

}  // namespace
}  // namespace bitpilot::avx512vnni
#pragma GCC pop_options

namespace bitpilot {
// Below the region: it must run on any processor.  The builtin asks cpuid and xgetbv.
static bool avx512vnni_supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
const Kernels kAvx512VnniKernels{"avx512vnni",       avx512vnni_supported,     avx512vnni::packing,
                                 avx512vnni::conv,   avx512vnni::max_pool,     avx512vnni::gather,
                                 avx512vnni::recode, avx512vnni::channel_sums, avx512vnni::linear};
}  // namespace bitpilot
#endif
