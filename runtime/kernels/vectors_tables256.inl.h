// No guard and no #include, on purpose: see conv_tables.inl.h.  What that asks for, with vpshufb: an index of 4 bits,
// the 16 entries of a table once for each half of a vector.

constexpr int kTableChannels = 2;
constexpr bool kRoomForWords = false;
constexpr int kTableBlocks = 2;

static inline Vec splat_bytes(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
static inline Vec splat_words(int value) { return _mm256_set1_epi16(static_cast<std::int16_t>(value)); }

static inline Vec look_up(Vec acc, Vec table, Vec index) {
  const Vec found = _mm256_shuffle_epi8(table, index);
  asm("vpaddb %1, %0, %0" : "+x"(acc) : "x"(found));  // see accumulate()
  return acc;
}

/// Sixteen-bit sums of 32 lanes in their order: four vectors of eight.
struct WideSums {
  WideSums(Vec raw, Vec odd, Vec starts) {
    const Vec even = _mm256_sub_epi16(_mm256_sub_epi16(raw, _mm256_slli_epi16(odd, 8)), starts);
    const Vec other = _mm256_sub_epi16(odd, starts);
    low = _mm256_unpacklo_epi16(even, other);
    high = _mm256_unpackhi_epi16(even, other);
  }
  template <int PART>
  Vec part() const {
    const Vec from = PART % 2 == 0 ? low : high;
    return _mm256_cvtepi16_epi32(PART < 2 ? _mm256_castsi256_si128(from) : _mm256_extracti128_si256(from, 1));
  }
  Vec low, high;
};

/// Adds byte sums to 16-bit ones.
static inline void add_to_words(Vec* raw, Vec* odd, Vec bytes) {
  *raw = _mm256_add_epi16(*raw, bytes);
  *odd = _mm256_add_epi16(*odd, _mm256_srli_epi16(bytes, 8));
}
