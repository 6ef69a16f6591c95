// No guard and no #include, on purpose: included once per instruction set with 256-bit vectors, behind
// conv_filters.inl.h, whose loops over rows and epilogue it uses.  Product tables in place of products (the idea of
// T-MAC, arXiv 2407.00088, turned round: the table belongs to the activation codes, so it is a constant and not made
// for each picture).  One vpshufb looks up the products of one pixel's channel pair with the weights of 32 filters.
//
// Sums of bytes: the entries of one table reach from -2 to +1 times the sum of the codes, a spread of 3 * 2 * highest
// code; so many of them as stay below 256 together can be added to a start of two thirds and taken as unsigned.  Then
// the byte sums are added up in 16 bits: `raw` adds even + 256 * odd, `odd` the upper bytes alone, both modulo 2^16.

constexpr int kTableFilters = 32;

/// Tables for codes of BITS bits: entry i of table c holds (c % 2^BITS) * w(i % 4) + (c >> BITS) * w(i / 4), w the
/// 2-bit two's complement.
template <int BITS>
struct PairTables {
  static constexpr int kHighest = (1 << BITS) - 1;
  static constexpr int kSpread = 3 * 2 * kHighest;              ///< of the entries
  static constexpr int kLookups = 255 / kSpread;                ///< that a byte sum can take
  static constexpr int kStart = kLookups * 4 * kHighest;        ///< of a byte sum: the entries' lowest is -4 * kHighest
  static constexpr int kSteps = kLookups / 2;                   ///< the same in taps of a quad: two pairs each
  static constexpr int kMaxSteps = 32768 / (2 * 4 * kHighest);  ///< that a 16-bit sum can take
  static constexpr int weight(int bits) { return (bits ^ 2) - 2; }
  constexpr PairTables() {
    for (int code = 0; code < 1 << (2 * BITS); ++code)
      for (int i = 0; i < kTableBytes; ++i)
        sums[code][i] =
            static_cast<std::int8_t>((code & kHighest) * weight(i & 3) + (code >> BITS) * weight(i >> 2 & 3));
  }
  alignas(64) std::int8_t sums[1 << (2 * BITS)][kTableBytes] = {};
};
template <int BITS>
constexpr PairTables<BITS> kPairTables;

/// Adds the tables' sums: one place of a table for each of the vector's filters.
static inline Vec look_up(Vec acc, const std::uint8_t* tables, const std::uint8_t* place, Vec index) {
  std::uint16_t offset;
  __builtin_memcpy(&offset, place, sizeof(offset));
  const Vec found = _mm256_shuffle_epi8(load(tables + offset), index);
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

/// 32 filters at PIXELS pixels of one row, STRIDE apart; codes of BITS bits.
template <int BITS>
struct TableTile {
  template <int PIXELS, int STRIDE>
  static inline void run(const ConvTask& task, int group, const std::uint8_t* src, int position) {
    using Tables = PairTables<BITS>;
    const auto* const tables = reinterpret_cast<const std::uint8_t*>(kPairTables<BITS>.sums);
    Vec memory[2 * PIXELS];
    Vec* words = memory;
    asm("" : "+r"(words));  // keeps the 16-bit sums out of the registers that the bytes need
    BITPILOT_UNROLL for (int i = 0; i < 2 * PIXELS; ++i) words[i] = splat(0);

    const std::uint8_t* weights = task.weights + static_cast<std::size_t>(group) * task.group_bytes;
    const std::int32_t* taps = task.taps;
    const Vec start = _mm256_set1_epi8(static_cast<char>(Tables::kStart));
    int runs = 0;
    for (int left = task.tap_count; left > 0; left -= Tables::kSteps, ++runs) {
      Vec bytes[PIXELS];
      BITPILOT_UNROLL for (int p = 0; p < PIXELS; ++p) bytes[p] = start;
      for (int step = std::min(left, Tables::kSteps); step > 0; --step, ++taps, weights += 2 * kTableFilters) {
        const std::uint8_t* const at = src + *taps;
        const Vec first = load(weights);
        BITPILOT_UNROLL for (int p = 0; p < PIXELS; ++p) bytes[p] =
            look_up(bytes[p], tables, at + 4 * STRIDE * p, first);
        const Vec second = load(weights + kTableFilters);
        BITPILOT_UNROLL for (int p = 0; p < PIXELS; ++p) bytes[p] =
            look_up(bytes[p], tables, at + 4 * STRIDE * p + 2, second);
      }
      BITPILOT_UNROLL for (int p = 0; p < PIXELS; ++p) add_to_words(words + p, words + PIXELS + p, bytes[p]);
    }
    Vec sums[kTableFilters / kLanes][PIXELS];
    const std::int32_t* const bias = task.bias + group * kTableFilters;
    const Vec starts = _mm256_set1_epi16(static_cast<std::int16_t>(runs * Tables::kStart));
    BITPILOT_UNROLL for (int p = 0; p < PIXELS; ++p) {
      const WideSums wide(words[p], words[PIXELS + p], starts);
      sums[0][p] = sum(wide.part<0>(), load_all(bias));
      sums[1][p] = sum(wide.part<1>(), load_all(bias + kLanes));
      sums[2][p] = sum(wide.part<2>(), load_all(bias + 2 * kLanes));
      sums[3][p] = sum(wide.part<3>(), load_all(bias + 3 * kLanes));
    }
    for (int b = 0; b < kTableFilters / kLanes; ++b)
      store_run<PIXELS>(task, group * kTableFilters + b * kLanes, position, sums[b]);
  }
};

template <int BITS, int STRIDE>
static void table_groups(const ConvTask& task) {
  for (int group = task.first_group; group < task.groups; ++group)
    filters_width<TableTile<BITS>, 8, STRIDE>(task, group);
}
