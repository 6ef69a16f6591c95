#include "runtime/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define BITPILOT_UNROLL _Pragma("GCC unroll 16")
#define BITPILOT_FENCE asm volatile("" ::: "memory")

#pragma GCC push_options
#pragma GCC target("avx2")
namespace bitpilot::avx2 {
namespace {

using Vec = __m256i;
using Real = __m256;
constexpr int kLanes = 8;

inline Vec load(const std::uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const Vec*>(from)); }
inline Vec splat(int value) { return _mm256_set1_epi32(value); }
inline Real splat_real(float value) { return _mm256_set1_ps(value); }
inline Real to_real(Vec value) { return _mm256_cvtepi32_ps(value); }
inline Vec to_int(Real value) { return _mm256_cvtps_epi32(value); }
inline Real multiply(Real a, Real b) { return _mm256_mul_ps(a, b); }
inline Real plus(Real a, Real b) { return _mm256_add_ps(a, b); }
inline Real at_least(Real value, Real lowest) { return _mm256_max_ps(value, lowest); }
inline Real at_most(Real value, Real highest) { return _mm256_min_ps(value, highest); }
inline Vec sum(Vec a, Vec b) { return _mm256_add_epi32(a, b); }
inline Vec minus(Vec a, Vec b) { return _mm256_sub_epi32(a, b); }
inline Vec product(Vec a, Vec b) { return _mm256_mullo_epi32(a, b); }
inline Vec merge(Vec a, Vec b) { return _mm256_or_si256(a, b); }
inline Vec larger_bytes(Vec a, Vec b) { return _mm256_max_epu8(a, b); }

template <int C>
inline Vec channel_of(Vec codes) {
  if (C == 3) return _mm256_srli_epi32(codes, 24);
  return _mm256_and_si256(C == 0 ? codes : _mm256_srli_epi32(codes, 8 * C), _mm256_set1_epi32(255));
}
template <int C>
inline Vec to_channel(Vec code) {
  return _mm256_slli_epi32(code, 8 * C);
}

inline Vec lanes(int bits) {
  const Vec bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits), bit), bit);
}
inline void store_valid(std::uint8_t* to, Vec codes, const std::uint8_t* valid, int position) {
  _mm256_maskstore_epi32(reinterpret_cast<int*>(to), lanes(valid[position / 8]), codes);
}
inline Vec load_valid(const std::uint8_t* from, const std::uint8_t* valid, int position) {
  return _mm256_maskload_epi32(reinterpret_cast<const int*>(from), lanes(valid[position / 8]));
}
inline void store_first(std::uint8_t* to, Vec pixels, int count) {
  _mm256_maskstore_epi32(reinterpret_cast<int*>(to), lanes(count >= kLanes ? 255 : (1 << count) - 1), pixels);
}
inline Vec even_lanes(Vec a, Vec b) {
  const Real mixed = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0xD8);
}
inline Vec load_words(const std::int16_t* from) {
  return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline Vec load_all(const std::int32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const Vec*>(from)); }
inline void store_all(std::int32_t* to, Vec value) { _mm256_storeu_si256(reinterpret_cast<Vec*>(to), value); }
inline std::int32_t total(Vec value) {
  alignas(32) std::int32_t lane[kLanes];
  _mm256_store_si256(reinterpret_cast<Vec*>(lane), value);
  std::int32_t all = 0;
  for (const std::int32_t one : lane) all += one;
  return all;
}

/// acc += value in one register before and after: g++ 12 re-associates, copies and spills the sums otherwise.
inline void accumulate(Vec& acc, Vec value) { asm("vpaddd %1, %0, %0" : "+x"(acc) : "x"(value)); }
inline void accumulate_words(Vec& acc, Vec value) { asm("vpaddw %1, %0, %0" : "+x"(acc) : "x"(value)); }

/// maddubs adds two u8 x s8 products in 16 bits and saturates: packing() allows it only where the pair cannot pass
/// 32767.
struct Bytes {
  using Input = Vec;
  using Weight = Vec;
  static constexpr int kFilterBytes = 4;
  static constexpr bool kNarrow = false;
  static Vec prepare(Vec codes) { return codes; }
  static Vec weight(const std::uint8_t* from) {
    std::int32_t channels;
    __builtin_memcpy(&channels, from, sizeof(channels));
    return _mm256_set1_epi32(channels);
  }
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

/// 8-bit weights with 8-bit codes, and effective weights beyond s8: even and odd channels apart, exact in 32 bits.
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
    return {_mm256_and_si256(codes, _mm256_set1_epi16(255)), _mm256_srli_epi16(codes, 8)};
  }
  static Weight weight(const std::uint8_t* from) {
    std::int32_t pair[2];
    __builtin_memcpy(pair, from, sizeof(pair));
    return {_mm256_set1_epi32(pair[0]), _mm256_set1_epi32(pair[1])};
  }
  static Vec multiply_add(Vec acc, const Input& codes, const Weight& weight) {
    accumulate(acc, _mm256_madd_epi16(codes.even, weight.even));
    accumulate(acc, _mm256_madd_epi16(codes.odd, weight.odd));
    return acc;
  }
};

#include "runtime/kernels/conv.inl.h"
#include "runtime/kernels/pixels.inl.h"

Packing packing(bool, int lowest, int highest, int code_bound) {
  const int bound = highest > -lowest ? highest : -lowest;
  const bool bytes = lowest >= -128 && highest <= 127 && 2 * bound * code_bound <= 32767;
  return {bytes ? Packing::Format::kBytes : Packing::Format::kWords, 4};
}

void conv(const ConvTask& task) {
  if (task.packing.format == Packing::Format::kWords)
    conv_groups<Words, 4, 2, 4>(task);
  else if (2 * task.code_bound * task.weight_bound * kNarrowSteps <= 32767)
    conv_groups<NarrowBytes, 4, 2, 4>(task);
  else
    conv_groups<Bytes, 4, 2, 4>(task);
}

}  // namespace
}  // namespace bitpilot::avx2
#pragma GCC pop_options

namespace bitpilot {
// Below the region: it must run on any processor.  The builtin asks cpuid and xgetbv.
static bool avx2_supported() { return __builtin_cpu_supports("avx2"); }
const Kernels kAvx2Kernels{"avx2",       avx2_supported, avx2::packing,      avx2::conv,  avx2::max_pool,
                           avx2::gather, avx2::recode,   avx2::channel_sums, avx2::linear};
}  // namespace bitpilot
#endif
