// No guard and no #include, on purpose: included once per instruction set, inside that set's namespace and target
// region, after its primitives:
//   Vec, Real                vectors of kLanes int32 / float32; kLanes pixels of one quad of channels fill one Vec of
//   bytes load, splat32, splat     unaligned load, 32 bits of memory in every lane, one int in every lane to_real,
//   to_int          conversions, round to nearest even;  splat_real, multiply, plus, at_least, at_most channel_of<C>
//   byte C of every lane, zero-extended;  shift_in<C>: lane << 8 C, merged by `merge` store_valid              stores
//   the lanes whose bit in `valid` is set BITPILOT_FENCE           stops g++ 12 from hoisting loads until it spills;
//   BITPILOT_UNROLL Bytes, Words, ...        how codes meet weights: prepare(), weight(), multiply_add(); kNarrow: sums
//   are pairs of 16 bits, which
//                            widened() turns into 32 bits before they can overflow
// Registers: FILTERS x VECTORS sums must fit beside VECTORS inputs and one weight.

/// Turns values into codes: clamp(rne(f * scale) + zero_point, 0, highest).
struct CodeLimits {
  explicit CodeLimits(const CodeOutput& output)
      : scale(splat_real(output.scale)),
        lowest(splat_real(static_cast<float>(-output.zero_point))),
        highest(splat_real(static_cast<float>(output.highest - output.zero_point))),
        zero(splat(output.zero_point)) {}
  Vec code(Real value) const {
    return sum(to_int(at_most(at_least(multiply(value, scale), lowest), highest)), zero);
  }
  Real scale, lowest, highest;
  Vec zero;
};

/// Products that 16-bit sums of a task can take before they could overflow.
static inline int narrow_steps(const ConvTask& task) { return 32767 / (2 * task.code_bound * task.weight_bound); }

/// f of four filters (one quad of the result) at one vector of positions -> one code per output.
template <bool ADD>
static inline void store_quad(const ConvTask& task, int filter, int position, Vec s0, Vec s1, Vec s2, Vec s3) {
  const std::size_t quad = static_cast<std::size_t>(filter) / 4;
  const float* multiplier = task.multiplier + filter;
  Real f0 = multiply(to_real(s0), splat_real(multiplier[0]));
  Real f1 = multiply(to_real(s1), splat_real(multiplier[1]));
  Real f2 = multiply(to_real(s2), splat_real(multiplier[2]));
  Real f3 = multiply(to_real(s3), splat_real(multiplier[3]));
  if (ADD) {
    const Vec carried = load(task.carry.src + quad * task.carry.plane + 4 * static_cast<std::size_t>(position));
    const Vec zero = splat(task.carry.zero_point);
    const Real step = splat_real(task.carry.step);
    f0 = plus(f0, multiply(to_real(minus(channel_of<0>(carried), zero)), step));
    f1 = plus(f1, multiply(to_real(minus(channel_of<1>(carried), zero)), step));
    f2 = plus(f2, multiply(to_real(minus(channel_of<2>(carried), zero)), step));
    f3 = plus(f3, multiply(to_real(minus(channel_of<3>(carried), zero)), step));
  }
  for (int o = 0; o < task.output_count; ++o) {
    const CodeOutput& output = task.outputs[o];
    const CodeLimits limits(output);
    const Vec c0 = limits.code(f0), c1 = limits.code(f1), c2 = limits.code(f2), c3 = limits.code(f3);
    const Vec codes = merge(merge(c0, to_channel<1>(c1)), merge(to_channel<2>(c2), to_channel<3>(c3)));
    store_valid(output.dst + quad * output.plane + 4 * static_cast<std::size_t>(position), codes, task.valid, position);
  }
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

/// FILTERS filters of one group, from `first` on, at VECTORS * kLanes positions.
template <class Dot, int FILTERS, int VECTORS, int GROUP, bool ADD>
static inline void conv_tile(const ConvTask& task, int group, int first, int position) {
  Vec sums[FILTERS][VECTORS];
  std::int32_t memory[Dot::kNarrow ? FILTERS * VECTORS * kLanes : 1];
  std::int32_t* wide = memory;
  asm("" : "+r"(wide));  // keeps the 32-bit sums out of the registers that the 16-bit ones need
  const int filter = group * GROUP + first;
  BITPILOT_UNROLL for (int f = 0; f < FILTERS; ++f) BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) {
    sums[f][v] = splat(Dot::kNarrow ? 0 : task.bias[filter + f]);
    if constexpr (Dot::kNarrow) store_all(wide + (f * VECTORS + v) * kLanes, splat(task.bias[filter + f]));
  }
  const int steps = Dot::kNarrow ? narrow_steps(task) : 0;
  int left = steps;

  const std::uint8_t* weights =
      task.weights + static_cast<std::size_t>(group) * task.group_bytes + first * Dot::kFilterBytes;
  const std::size_t quad_first = static_cast<std::size_t>(group) * static_cast<std::size_t>(task.quad_step);
  const std::uint8_t* src = task.src + quad_first * task.src_plane + 4 * static_cast<std::size_t>(position);
  const std::size_t src_plane = task.src_plane;  // locals: the fence would make members reload
  const std::int32_t* const taps = task.taps;
  const int tap_count = task.tap_count;
  for (int quad = task.quads; quad > 0; --quad, src += src_plane)
    for (int tap = 0; tap < tap_count; ++tap, weights += GROUP * Dot::kFilterBytes) {
      const std::uint8_t* at = src + taps[tap];
      typename Dot::Input codes[VECTORS];
      BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) codes[v] = Dot::prepare(load(at + v * 4 * kLanes));
      BITPILOT_UNROLL for (int f = 0; f < FILTERS; ++f) {
        const typename Dot::Weight weight = Dot::weight(weights + f * Dot::kFilterBytes);
        BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v) sums[f][v] = Dot::multiply_add(sums[f][v], codes[v], weight);
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
  BITPILOT_UNROLL for (int f = 0; f < FILTERS; f += 4) BITPILOT_UNROLL for (int v = 0; v < VECTORS; ++v)
      store_quad<ADD>(task, filter + f, position + v * kLanes, sums[f][v], sums[f + 1][v], sums[f + 2][v],
                      sums[f + 3][v]);
}

/// All positions of a run of filters: tiles of at most VECTORS vectors, the last ones balanced (4 = 2 + 2, not 3 + 1).
template <class Dot, int FILTERS, int VECTORS, int GROUP, bool ADD>
static void conv_filters(const ConvTask& task, int group, int first) {
  int left = (task.positions - task.first_position + kLanes - 1) / kLanes;
  int tiles = (left + VECTORS - 1) / VECTORS;
  for (int position = task.first_position; left > 0; --tiles) {
    const int now = (left + tiles - 1) / tiles;
    switch (now) {
      case 1:
        conv_tile<Dot, FILTERS, 1, GROUP, ADD>(task, group, first, position);
        break;
      case 2:
        conv_tile < Dot, FILTERS, VECTORS<2 ? VECTORS : 2, GROUP, ADD>(task, group, first, position);
        break;
      case 3:
        conv_tile < Dot, FILTERS, VECTORS<3 ? VECTORS : 3, GROUP, ADD>(task, group, first, position);
        break;
      default:
        conv_tile<Dot, FILTERS, VECTORS, GROUP, ADD>(task, group, first, position);
        break;
    }
    position += now * kLanes;
    left -= now;
  }
}

template <class Dot, int FILTERS, int VECTORS, int GROUP>
static void conv_groups(const ConvTask& task) {
  for (int group = task.first_group; group < task.groups; ++group)
    for (int first = 0; first < GROUP; first += FILTERS)
      if (task.carry.src != nullptr)
        conv_filters<Dot, FILTERS, VECTORS, GROUP, true>(task, group, first);
      else
        conv_filters<Dot, FILTERS, VECTORS, GROUP, false>(task, group, first);
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
