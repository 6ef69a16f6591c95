// No guard and no #include, on purpose: included once per instruction set with 512-bit vectors and VNNI, inside that
// set's namespace and target region.  Everything that conv.inl.h and its companions ask for.

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
inline Real at_most(Real value, Real highest) { return _mm512_min_ps(highest, value); }  // NaN stays
inline Vec sum(Vec a, Vec b) { return _mm512_add_epi32(a, b); }
inline Vec minus(Vec a, Vec b) { return _mm512_sub_epi32(a, b); }
inline Vec merge(Vec a, Vec b) { return _mm512_or_si512(a, b); }
inline Vec larger_bytes(Vec a, Vec b) { return _mm512_max_epu8(a, b); }

template <int C>
inline Vec channel_of(Vec codes) {
  if (C == 3) return _mm512_srli_epi32(codes, 24);
  return _mm512_and_si512(C == 0 ? codes : _mm512_srli_epi32(codes, 8 * C), _mm512_set1_epi32(255));
}
inline Vec transposed(Vec bytes) {
  return _mm512_shuffle_epi8(bytes, _mm512_set4_epi32(0x0f0b0703, 0x0e0a0602, 0x0d090501, 0x0c080400));
}
inline Vec at_most_bytes(Vec a, Vec b) { return _mm512_min_epu8(a, b); }
inline Vec broadcast_128(const void* from) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(from)));
}
inline Real as_real(Vec bits) { return _mm512_castsi512_ps(bits); }
inline Vec one_tap_later(Vec taps) { return _mm512_slli_epi32(taps, 8); }
inline Vec pairs_in_order(Vec codes) {
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), codes);
}
inline Vec pairs_apart(Vec codes) { return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), codes); }

inline Vec even_bytes(Vec codes) { return _mm512_and_si512(codes, _mm512_set1_epi16(255)); }
inline Vec odd_bytes(Vec codes) { return _mm512_srli_epi16(codes, 8); }

using Lanes = __mmask16;
inline Lanes valid_lanes(const std::uint8_t* valid, int position) {
  return static_cast<Lanes>(valid[position / 8] | (valid[position / 8 + 1] << 8));
}
inline Lanes first_lanes(int count) { return static_cast<Lanes>(count >= kLanes ? 0xffff : (1 << count) - 1); }
inline void store_lanes(std::uint8_t* to, Vec codes, Lanes lanes) { _mm512_mask_storeu_epi32(to, lanes, codes); }
inline Vec load_lanes(const std::uint8_t* from, Lanes lanes) { return _mm512_maskz_loadu_epi32(lanes, from); }
inline Vec even_lanes(Vec a, Vec b) {
  const Vec index = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_epi32(a, index, b);
}
inline Vec load_bytes_as_words(const std::uint8_t* from) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
/// BITS bits of each word from bit FIRST on; and all from there, with their sign.
template <int FIRST, int BITS>
inline Vec bits_of_words(Vec words) {
  return _mm512_and_si512(_mm512_srli_epi16(words, FIRST), _mm512_set1_epi16((1 << BITS) - 1));
}
template <int FIRST>
inline Vec top_of_words(Vec words) {
  return _mm512_srai_epi16(words, FIRST);
}
inline Vec broadcast_quad(const std::int16_t* from) {
  std::int64_t quad;
  __builtin_memcpy(&quad, from, sizeof(quad));
  return _mm512_set1_epi64(quad);
}
inline Vec multiply_add_words(Vec acc, Vec a, Vec b) {
  asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
  return acc;
}
/// As one load, whatever the compiler would rather merge.
inline Vec broadcast(const std::uint8_t* from) {
  Vec value;
  asm("vpbroadcastd %1, %0" : "=v"(value) : "m"(*reinterpret_cast<const std::uint8_t(*)[4]>(from)));
  return value;
}
inline Real load_real(const float* from) { return _mm512_loadu_ps(from); }
inline Vec pack_pixels(Vec p0, Vec p1, Vec p2, Vec p3) {
  return _mm512_packus_epi16(_mm512_packs_epi32(p0, p1), _mm512_packs_epi32(p2, p3));
}
template <int P>
inline Vec codes_of_pixel(Vec quads) {
  const int zeros = static_cast<int>(0x80808000);  // in the upper three bytes of each lane
  return _mm512_shuffle_epi8(
      quads, _mm512_set4_epi32(zeros | (4 * P + 3), zeros | (4 * P + 2), zeros | (4 * P + 1), zeros | (4 * P)));
}
inline Vec load_quads(const std::uint8_t* from, std::size_t plane) {
  const auto quad = [&](std::size_t q) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + q * plane)); };
  const Vec low = _mm512_inserti32x4(_mm512_castsi128_si512(quad(0)), quad(1), 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(low, quad(2), 2), quad(3), 3);
}
inline void store_quad_pixels(std::uint8_t* to, __m128i pixels, int count) {
  if (count == 4)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), pixels);
  else
    _mm_mask_storeu_epi32(to, static_cast<__mmask8>((1 << count) - 1), pixels);
}
inline void store_quads(std::uint8_t* to, std::size_t plane, Vec codes, int count) {
  store_quad_pixels(to, _mm512_castsi512_si128(codes), count);
  store_quad_pixels(to + plane, _mm512_extracti32x4_epi32(codes, 1), count);
  store_quad_pixels(to + 2 * plane, _mm512_extracti32x4_epi32(codes, 2), count);
  store_quad_pixels(to + 3 * plane, _mm512_extracti32x4_epi32(codes, 3), count);
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
  static constexpr bool kNarrow = false, kOneChannel = false;
  static Vec prepare(Vec codes) { return codes; }
  static Vec weight(const std::uint8_t* from) { return broadcast(from); }
  static Vec multiply_add(Vec acc, Vec codes, Vec weight) {
    // As _mm512_dpbusd_epi32, but with one register for the sum before and after: g++ 12 copies and spills it
    // otherwise.
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(codes), "v"(weight));
    return acc;
  }
};
