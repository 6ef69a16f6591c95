// No guard and no #include, on purpose: included once per instruction set with 256-bit vectors, inside that set's
// namespace and target region.  Everything that conv.inl.h and its companions ask for, apart from how codes meet
// weights.

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
inline Real at_most(Real value, Real highest) { return _mm256_min_ps(highest, value); }  // NaN stays
inline Vec sum(Vec a, Vec b) { return _mm256_add_epi32(a, b); }
inline Vec minus(Vec a, Vec b) { return _mm256_sub_epi32(a, b); }
inline Vec larger_bytes(Vec a, Vec b) { return _mm256_max_epu8(a, b); }

template <int C>
inline Vec channel_of(Vec codes) {
  if (C == 3) return _mm256_srli_epi32(codes, 24);
  return _mm256_and_si256(C == 0 ? codes : _mm256_srli_epi32(codes, 8 * C), _mm256_set1_epi32(255));
}
inline Vec transposed(Vec bytes) {
  const __m128i order = _mm_setr_epi32(0x0c080400, 0x0d090501, 0x0e0a0602, 0x0f0b0703);
  return _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(order));
}
inline Vec at_most_bytes(Vec a, Vec b) { return _mm256_min_epu8(a, b); }
inline Vec broadcast_128(const void* from) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(from)));
}
inline Real as_real(Vec bits) { return _mm256_castsi256_ps(bits); }
inline Vec one_tap_later(Vec taps) { return _mm256_slli_epi32(taps, 8); }
inline Vec pairs_in_order(Vec codes) { return _mm256_permute4x64_epi64(codes, 0xD8); }
inline Vec pairs_apart(Vec codes) { return pairs_in_order(codes); }

inline Vec even_bytes(Vec codes) { return _mm256_and_si256(codes, _mm256_set1_epi16(255)); }
inline Vec odd_bytes(Vec codes) { return _mm256_srli_epi16(codes, 8); }

using Lanes = Vec;
inline Lanes lanes(int bits) {
  const Vec bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits), bit), bit);
}
inline Lanes valid_lanes(const std::uint8_t* valid, int position) { return lanes(valid[position / 8]); }
inline Lanes first_lanes(int count) { return lanes(count >= kLanes ? 255 : (1 << count) - 1); }
inline void store_lanes(std::uint8_t* to, Vec codes, Lanes stored) {
  _mm256_maskstore_epi32(reinterpret_cast<int*>(to), stored, codes);
}
inline Vec load_lanes(const std::uint8_t* from, Lanes loaded) {
  return _mm256_maskload_epi32(reinterpret_cast<const int*>(from), loaded);
}
inline Vec even_lanes(Vec a, Vec b) {
  const Real mixed = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0xD8);
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

inline Vec load_bytes_as_words(const std::uint8_t* from) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
/// BITS bits of each word from bit FIRST on; and all from there, with their sign.
template <int FIRST, int BITS>
inline Vec bits_of_words(Vec words) {
  return _mm256_and_si256(_mm256_srli_epi16(words, FIRST), _mm256_set1_epi16((1 << BITS) - 1));
}
template <int FIRST>
inline Vec top_of_words(Vec words) {
  return _mm256_srai_epi16(words, FIRST);
}
inline Vec broadcast_quad(const std::int16_t* from) {
  std::int64_t quad;
  __builtin_memcpy(&quad, from, sizeof(quad));
  return _mm256_set1_epi64x(quad);
}
/// As one load: g++ 12 would rather merge two of them in a general register and move them over.
inline Vec broadcast(const std::uint8_t* from) {
  Vec value;
  asm("vpbroadcastd %1, %0" : "=x"(value) : "m"(*reinterpret_cast<const std::uint8_t(*)[4]>(from)));
  return value;
}
inline Real load_real(const float* from) { return _mm256_loadu_ps(from); }
inline Vec pack_pixels(Vec p0, Vec p1, Vec p2, Vec p3) {
  return _mm256_packus_epi16(_mm256_packs_epi32(p0, p1), _mm256_packs_epi32(p2, p3));
}
template <int P>
inline Vec codes_of_pixel(Vec quads) {
  const int zeros = static_cast<int>(0x80808000);  // in the upper three bytes of each lane
  const __m128i pick = _mm_setr_epi32(zeros | (4 * P), zeros | (4 * P + 1), zeros | (4 * P + 2), zeros | (4 * P + 3));
  return _mm256_shuffle_epi8(quads, _mm256_broadcastsi128_si256(pick));
}
inline Vec load_quads(const std::uint8_t* from, std::size_t plane) {
  return _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(from + plane), reinterpret_cast<const __m128i*>(from));
}
inline void store_quad_pixels(std::uint8_t* to, __m128i pixels, int count) {
  if (count == 4)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), pixels);
  else
    _mm_maskstore_epi32(reinterpret_cast<int*>(to), _mm256_castsi256_si128(lanes((1 << count) - 1)), pixels);
}
inline void store_quads(std::uint8_t* to, std::size_t plane, Vec codes, int count) {
  store_quad_pixels(to, _mm256_castsi256_si128(codes), count);
  store_quad_pixels(to + plane, _mm256_extracti128_si256(codes, 1), count);
}

/// Packings for 8 filters or 8 pixels in a vector, behind the `count` that `legal` holds already; `bytes`: the weights
/// may stand as s8.
inline int packings256(const ConvShape& shape, bool bytes, Packing (&legal)[kMaxPackings], int count) {
  const Packing::Format format = bytes ? Packing::Format::kBytes : Packing::Format::kWords;
  if (bytes && !shape.depthwise && shape.stride <= 2) legal[count++] = {format, kLanes, Packing::Lanes::kFilters};
  // A row of the window in a lane takes three products where quads of channels take one.
  if (bytes && shape.depthwise && shape.kernel == 3 && shape.stride <= 2)
    legal[count++] = {format, 4, Packing::Lanes::kTaps};
  // A depthwise layer has too little to compute to make up for a copy, unless its rows leave lanes empty.
  const bool rows_first = shape.stride == 2 && shape.depthwise && shape.width >= kLanes;
  if (rows_first) legal[count++] = {format, 4, Packing::Lanes::kRows};
  legal[count++] = {format, 4, Packing::Lanes::kPixels};
  if (shape.stride == 2 && !rows_first) legal[count++] = {format, 4, Packing::Lanes::kRows};
  return count;
}
