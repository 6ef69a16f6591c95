// No guard and no #include, on purpose: included once per instruction set, inside that set's namespace and target
// region, after its primitives:
//   Vec, Real        vectors of kLanes int32 / float32; kLanes pixels of one quad of channels fill one Vec of bytes
//   load, splat      unaligned load; one int in every lane.  to_real, to_int: conversions, round to nearest even
//   channel_of<C>    byte C of every lane, zero-extended
//   even_lanes       every second lane of two vectors
//   Lanes            which lanes to store: valid_lanes, first_lanes, store_lanes, load_lanes
//   BITPILOT_FENCE   stops g++ 12 from hoisting loads until it spills;  BITPILOT_UNROLL: of the next loop
//   Bytes            how codes meet weights: prepare(), weight(), multiply_add(); kNarrow: sums are pairs of 16 bits,
//                    which widened() turns into 32 bits before they can overflow.  Words does the same with
//   even_bytes, odd_bytes, multiply_add_words   of every 16 bits, zero-extended; two s16 products a lane
//   broadcast        32 bits of memory in every lane, as one load
// Here pixels stand in lanes.  Registers: FILTERS x VECTORS sums must fit beside VECTORS inputs and one weight.

/// Effective weights beyond s8, and products that a set cannot add up in bytes: even and odd channels apart, u16 x s16,
/// exact in 32 bits.
struct Words {
  struct Input {
    Vec even, odd;
  };
  struct Weight {
    Vec even, odd;
  };
  static constexpr int kFilterBytes = 8;
  static constexpr bool kNarrow = false, kOneChannel = false;
  static Input prepare(Vec codes) { return {even_bytes(codes), odd_bytes(codes)}; }
  static Weight weight(const std::uint8_t* from) { return {broadcast(from), broadcast(from + 4)}; }
  static Vec multiply_add(Vec acc, const Input& codes, const Weight& weight) {
    return multiply_add_words(multiply_add_words(acc, codes.even, weight.even), codes.odd, weight.odd);
  }
};

/// The same for depthwise layers: filter f of a quad reads channel f alone, so only the words that hold it count.
struct OwnWords : Words {
  using Weight = Vec;
  static constexpr bool kOneChannel = true;
  static Vec weight(const std::uint8_t* from, int filter) { return broadcast(from + filter % 2 * 4); }
  static Vec multiply_add(Vec acc, const Input& codes, Vec weight, int filter) {
    return multiply_add_words(acc, filter % 2 == 0 ? codes.even : codes.odd, weight);
  }
};

/// f of four filters (one quad of the result) at one vector of positions -> one code per output.
template <bool ADD>
[[gnu::always_inline]] static inline void store_quad(const PreparedTask& task, int filter, int position, Lanes stored,
                                                     Vec s0, Vec s1, Vec s2, Vec s3) {
  const std::size_t quad = static_cast<std::size_t>(filter) / 4, at = 4 * static_cast<std::size_t>(position);
  const float* multiplier = task.multiplier + filter;
  Real f[4] = {multiply(to_real(s0), splat_real(multiplier[0])), multiply(to_real(s1), splat_real(multiplier[1])),
               multiply(to_real(s2), splat_real(multiplier[2])), multiply(to_real(s3), splat_real(multiplier[3]))};
  if (ADD) task.add(f, transposed(load(task.carry.src + quad * task.carry.plane + at)));
  task.codes(f, [&](const CodeOutput& output, Vec codes) {
    store_lanes(output.dst + quad * output.plane + at, transposed(codes), stored);
  });
}

/// Moves 16-bit sums into the 32-bit ones, which live in memory, and starts them anew.
template <class Dot, int FILTERS, int VECTORS>
static inline void widen(Vec (&sums)[FILTERS][VECTORS], std::int32_t* wide) {
  BITPILOT_UNROLL for (int i = 0; i < FILTERS * VECTORS; ++i) {
    Vec& narrow = sums[i / VECTORS][i % VECTORS];
    store_all(wide + i * kLanes, sum(load_all(wide + i * kLanes), Dot::widened(narrow)));
    narrow = splat(0);
  }
}

/// One vector of positions STRIDE apart.
template <int STRIDE>
static inline Vec load_codes(const std::uint8_t* from) {
  return STRIDE == 1 ? load(from) : even_lanes(load(from), load(from + 4 * kLanes));
}

/// FILTERS filters of one group, from `first` on, at VECTORS * kLanes positions that read from `src` on.  STRIDE 1: of
/// which the valid ones are stored; 2: the first `left_in_row`.
template <class Dot, int FILTERS, int VECTORS, int GROUP, bool ADD, int STRIDE>
static inline void conv_tile(const PreparedTask& task, int group, int first, const std::uint8_t* src, int position,
                             int left_in_row) {
  Vec sums[FILTERS][VECTORS];
  std::int32_t memory[Dot::kNarrow ? FILTERS * VECTORS * kLanes : 1];
  std::int32_t* wide = memory;
  asm("" : "+r"(wide));  // keeps the 32-bit sums out of the registers that the 16-bit ones need
  const int filter = group * GROUP + first;
  BITPILOT_UNROLL for (int f = 0; f < FILTERS; f += 4)
      expect_stores(task, static_cast<std::size_t>(filter + f) / 4, 4 * static_cast<std::size_t>(position), VECTORS);
  BITPILOT_UNROLL for (int f = 0; f < FILTERS; ++f) BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) {
    sums[f][v] = splat(Dot::kNarrow ? 0 : task.bias[filter + f]);
    if constexpr (Dot::kNarrow) store_all(wide + (f * VECTORS + v) * kLanes, splat(task.bias[filter + f]));
  }
  const int steps = Dot::kNarrow ? task.narrow_steps : 0;
  int left = steps;

  const std::uint8_t* weights =
      task.weights + static_cast<std::size_t>(group) * task.group_bytes + first * Dot::kFilterBytes;
  const std::size_t quad_first = static_cast<std::size_t>(group) * static_cast<std::size_t>(task.quad_step);
  const std::size_t src_plane = task.src_plane;  // locals: the fence would make members reload
  const std::int32_t* const taps = task.taps;
  const int tap_count = task.tap_count;
  src += quad_first * src_plane;
  for (int quad = task.quads; quad > 0; --quad, src += src_plane)
    for (int tap = 0; tap < tap_count; ++tap, weights += GROUP * Dot::kFilterBytes) {
      const std::uint8_t* at = src + taps[tap];
      typename Dot::Input codes[VECTORS];
      BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) codes[v] =
          Dot::prepare(load_codes<STRIDE>(at + v * 4 * STRIDE * kLanes));
      BITPILOT_UNROLL for (int f = 0; f < FILTERS; ++f) {
        if constexpr (Dot::kOneChannel) {
          const typename Dot::Weight weight = Dot::weight(weights + f * Dot::kFilterBytes, f);
          BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) sums[f][v] =
              Dot::multiply_add(sums[f][v], codes[v], weight, f);
        } else {
          const typename Dot::Weight weight = Dot::weight(weights + f * Dot::kFilterBytes);
          BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) sums[f][v] =
              Dot::multiply_add(sums[f][v], codes[v], weight);
        }
        BITPILOT_FENCE;
      }
      if constexpr (Dot::kNarrow)
        if (--left == 0) {
          widen<Dot>(sums, wide);
          left = steps;
        }
    }
  if constexpr (Dot::kNarrow) {
    widen<Dot>(sums, wide);
    BITPILOT_UNROLL for (int f = 0; f < FILTERS; ++f) BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) sums[f][v] =
        load_all(wide + (f * VECTORS + v) * kLanes);
  }
  BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) {
    const Lanes stored =
        STRIDE == 1 ? valid_lanes(task.valid, position + v * kLanes) : first_lanes(left_in_row - v * kLanes);
    BITPILOT_UNROLL for (int f = 0; f < FILTERS; f += 4) store_quad<ADD>(
        task, filter + f, position + v * kLanes, stored, sums[f][v], sums[f + 1][v], sums[f + 2][v], sums[f + 3][v]);
  }
}

/// `vectors` vectors of positions in tiles of at most VECTORS, the last ones balanced (4 = 2 + 2, not 3 + 1).
template <class Dot, int FILTERS, int VECTORS, int GROUP, bool ADD, int STRIDE>
static void conv_run(const PreparedTask& task, int group, int first, const std::uint8_t* src, int position, int vectors,
                     int left_in_row) {
  for (int tiles = (vectors + VECTORS - 1) / VECTORS; vectors > 0; --tiles) {
    const int now = (vectors + tiles - 1) / tiles;
    switch (now) {
      case 1:
        conv_tile<Dot, FILTERS, 1, GROUP, ADD, STRIDE>(task, group, first, src, position, left_in_row);
        break;
      case 2:
        conv_tile<Dot, FILTERS, std::min(VECTORS, 2), GROUP, ADD, STRIDE>(task, group, first, src, position,
                                                                          left_in_row);
        break;
      case 3:
        conv_tile<Dot, FILTERS, std::min(VECTORS, 3), GROUP, ADD, STRIDE>(task, group, first, src, position,
                                                                          left_in_row);
        break;
      default:
        conv_tile<Dot, FILTERS, VECTORS, GROUP, ADD, STRIDE>(task, group, first, src, position, left_in_row);
        break;
    }
    position += now * kLanes;
    src += 4 * STRIDE * kLanes * now;
    left_in_row -= now * kLanes;
    vectors -= now;
  }
}

/// Flat positions, border columns included.
template <class Dot, int FILTERS, int VECTORS, int GROUP, bool ADD>
[[gnu::noinline]] static void conv_flat(const PreparedTask& task) {
  const int from = task.first_position, vectors = (task.positions - from + kLanes - 1) / kLanes;
  for (int group = task.first_group; group < task.groups; ++group)
    for (int first = 0; first < GROUP; first += FILTERS)
      conv_run<Dot, FILTERS, VECTORS, GROUP, ADD, 1>(task, group, first, task.src + 4 * static_cast<std::size_t>(from),
                                                     from, vectors, 0);
}

/// Row by row, reading every second pixel in place.
template <class Dot, int VECTORS, bool ADD>
[[gnu::noinline]] static void conv_rows(const PreparedTask& task) {
  const int first = (task.first_position + task.row - 1) / task.row, end = (task.positions + task.row - 1) / task.row;
  for (int group = task.first_group; group < task.groups; ++group)
    for (int y = first; y < end; ++y)
      conv_run<Dot, 4, VECTORS, 4, ADD, 2>(task, group, 0, task.src + static_cast<std::size_t>(y) * task.src_row,
                                           y * task.row, (task.columns + kLanes - 1) / kLanes, task.columns);
}

/// By pixels; VECTORS vectors of them at a time.
template <class Dot, int FILTERS, int VECTORS, int GROUP>
static void conv_by_pixels(const PreparedTask& task) {
  const bool add = task.carry.src != nullptr;
  if (task.packing.lanes == Packing::Lanes::kPixels)
    add ? conv_flat<Dot, FILTERS, VECTORS, GROUP, true>(task) : conv_flat<Dot, FILTERS, VECTORS, GROUP, false>(task);
  else if constexpr (GROUP == 4)
    add ? conv_rows<Dot, VECTORS, true>(task) : conv_rows<Dot, VECTORS, false>(task);
}

/// See Kernels::peak.
template <class Dot>
static std::int64_t peak_of(int rounds) {
  constexpr int kSums = 12, kTimes = 16, kProducts = 4 * kLanes;
  Vec sums[kSums];
  BITPILOT_UNROLL for (int i = 0; i < kSums; ++i) sums[i] = splat(i);
  Vec codes = splat(0x01020304), weight = splat(0x01010101);
  for (int round = 0; round < rounds * kTimes; ++round) {
    asm("" : "+x"(codes), "+x"(weight));
    BITPILOT_UNROLL for (int i = 0; i < kSums; ++i) {
      asm volatile("" : "+x"(codes));  // or one product would serve all sums
      sums[i] = Dot::multiply_add(sums[i], codes, weight);
    }
  }
  BITPILOT_UNROLL for (int i = 1; i < kSums; ++i) sums[0] = sum(sums[0], sums[i]);
  asm volatile("" : : "x"(sums[0]));
  return std::int64_t{rounds} * kTimes * kSums * kProducts;
}
