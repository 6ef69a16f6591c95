// No guard and no #include, on purpose: see conv_tables.inl.h; 256-bit vectors.  The same with pixels in lanes: the
// vector holds code pairs of 32 positions, the table belongs to the pair of weights.  It suits any number of filters,
// but codes of 2 bits only: four bits of a byte choose the entry.

/// Entry c of table i holds (c % 4) * w(i % 4) + (c / 4) * w(i / 4).
struct WeightTables {
  using Sums = ProductTables<2>;
  constexpr WeightTables() {
    for (int i = 0; i < 16; ++i)
      for (int code = 0; code < 16; ++code)
        sums[i][code] = static_cast<std::int8_t>((code & 3) * Sums::weight(i & 3) + (code >> 2) * Sums::weight(i >> 2));
  }
  alignas(64) std::int8_t sums[16][16] = {};
};
constexpr WeightTables kWeightTables;

constexpr int kTablePositions = 32;

/// Four filters at eight of the 32 positions.
template <int PART, bool ADD>
static inline void store_part(const PreparedTask& task, int filter, int position, const WideSums (&wide)[4]) {
  const std::int32_t* const bias = task.bias + filter;
  store_quad<ADD>(
      task, filter, position + PART * kLanes, valid_lanes(task.valid, position + PART * kLanes),
      sum(wide[0].template part<PART>(), splat(bias[0])), sum(wide[1].template part<PART>(), splat(bias[1])),
      sum(wide[2].template part<PART>(), splat(bias[2])), sum(wide[3].template part<PART>(), splat(bias[3])));
}

/// Four filters at VECTORS * 32 positions.
template <int VECTORS, bool ADD>
static inline void table_pixels_tile(const PreparedTask& task, int group, int position) {
  using Tables = ProductTables<2>;
  constexpr int kFilters = 4, kSums = kFilters * VECTORS;
  const auto* const tables = reinterpret_cast<const std::uint8_t*>(kWeightTables.sums);
  Vec memory[2 * kSums];
  Vec* words = memory;
  asm("" : "+r"(words));  // keeps the 16-bit sums out of the registers that the bytes need
  BITPILOT_UNROLL for (int i = 0; i < 2 * kSums; ++i) words[i] = splat(0);

  const std::size_t pair_plane = task.src_plane / 2;
  const std::uint8_t* const src = task.src + position;
  const std::uint8_t* weights = task.weights + static_cast<std::size_t>(group) * task.group_bytes;
  const std::int32_t* taps = task.taps;
  const Vec start = splat_bytes(Tables::kStart);
  int runs = 0;
  for (int left = task.tap_count; left > 0; left -= Tables::kSteps, ++runs) {
    Vec bytes[kFilters][VECTORS];
    BITPILOT_UNROLL for (int i = 0; i < kSums; ++i) bytes[i / VECTORS][i % VECTORS] = start;
    for (int step = std::min(left, Tables::kSteps); step > 0; --step, ++taps, weights += 2 * kFilters) {
      const std::uint8_t* const at = src + *taps;
      BITPILOT_UNROLL for (int pair = 0; pair < 2; ++pair) {
        Vec codes[VECTORS];
        BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) codes[v] =
            load(at + static_cast<std::size_t>(pair) * pair_plane + v * kTablePositions);
        BITPILOT_UNROLL for (int f = 0; f < kFilters; ++f) {
          const auto* const table = reinterpret_cast<const __m128i*>(tables + weights[pair * kFilters + f]);
          const Vec both = _mm256_broadcastsi128_si256(_mm_load_si128(table));
          BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) bytes[f][v] = look_up(bytes[f][v], both, codes[v]);
        }
      }
    }
    BITPILOT_UNROLL for (int i = 0; i < kSums; ++i)
        add_to_words(words + i, words + kSums + i, bytes[i / VECTORS][i % VECTORS]);
  }
  const Vec starts = splat_words(runs * Tables::kStart);
  for (int v = 0; v < VECTORS; ++v) {
    const auto wide_of = [&](int filter) {
      const int i = filter * VECTORS + v;
      return WideSums(words[i], words[kSums + i], starts);
    };
    const WideSums wide[4] = {wide_of(0), wide_of(1), wide_of(2), wide_of(3)};
    const int first = position + v * kTablePositions;
    store_part<0, ADD>(task, kFilters * group, first, wide);
    store_part<1, ADD>(task, kFilters * group, first, wide);
    store_part<2, ADD>(task, kFilters * group, first, wide);
    store_part<3, ADD>(task, kFilters * group, first, wide);
  }
}

template <bool ADD>
[[gnu::noinline]] static void table_pixels(const PreparedTask& task) {
  for (int group = task.first_group; group < task.groups; ++group)
    for (int position = task.first_position; position < task.positions; position += 2 * kTablePositions) {
      if (task.positions - position > kTablePositions)
        table_pixels_tile<2, ADD>(task, group, position);
      else
        table_pixels_tile<1, ADD>(task, group, position);
    }
}

static void conv_by_table_pixels(const PreparedTask& task) {
  task.carry.src != nullptr ? table_pixels<true>(task) : table_pixels<false>(task);
}
