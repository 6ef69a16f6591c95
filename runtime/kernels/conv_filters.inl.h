// No guard and no #include, on purpose: see conv.inl.h.  The other way to lay a convolution on vectors: filters in
// lanes, kLanes of them in a vector, one broadcast quad of codes for each pixel.  A tile is a run of pixels of one row,
// so nothing is computed for border columns, and a stride is a distance between broadcasts: no copies.  Beside
// conv.inl.h it needs
//   load_quads, store_quads  four pixels of a block, as pack_pixels has them, from and to `kLanes / 4` planes; the
//   latter
//                            the first `count` of them

/// Codes of four pixels, from `p0` on, of one block of filters.
[[gnu::always_inline]] static inline void store_pixels(const PreparedTask& task, int filter, int position, int count,
                                                       Vec s0, Vec s1, Vec s2, Vec s3) {
  const std::size_t quad = static_cast<std::size_t>(filter) / 4, at = 4 * static_cast<std::size_t>(position);
  const Real multiplier = load_real(task.multiplier + filter);
  Real f[4] = {multiply(to_real(s0), multiplier), multiply(to_real(s1), multiplier), multiply(to_real(s2), multiplier),
               multiply(to_real(s3), multiplier)};
  if (task.carry.src != nullptr)
    task.add(f, load_quads(task.carry.src + quad * task.carry.plane + at, task.carry.plane));
  task.codes(f, [&](const CodeOutput& output, Vec codes) {
    store_quads(output.dst + quad * output.plane + at, output.plane, codes, count);
  });
}

/// Codes of PIXELS pixels, from `position` on, of one block of filters.
template <int PIXELS>
[[gnu::always_inline]] static inline void store_run(const PreparedTask& task, int filter, int position,
                                                    const Vec (&sums)[PIXELS]) {
  if constexpr (PIXELS < 4) {
    store_pixels(task, filter, position, 1, sums[0], sums[0], sums[0], sums[0]);
  } else {
    BITPILOT_UNROLL for (int p = 0; p + 4 <= PIXELS; p += 4)
        store_pixels(task, filter, position + p, 4, sums[p], sums[p + 1], sums[p + 2], sums[p + 3]);
    // The last four once more: what overlaps is stored again with the same codes.
    if constexpr (PIXELS % 4 != 0)
      store_pixels(task, filter, position + PIXELS - 4, 4, sums[PIXELS - 4], sums[PIXELS - 3], sums[PIXELS - 2],
                   sums[PIXELS - 1]);
  }
}

/// Weights of a layer from which on they come from beyond the nearest caches each time.
constexpr std::size_t kManyWeights = 64 * 1024;

/// BLOCKS * kLanes filters at PIXELS pixels of one row, STRIDE apart.  FETCH: asks for the weights of the blocks behind
/// them meanwhile.
template <class Dot, int BLOCKS, int PIXELS, int STRIDE, bool FETCH>
static inline void filters_tile(const PreparedTask& task, int group, const std::uint8_t* src, int position) {
  Vec sums[BLOCKS][PIXELS];
  alignas(64) std::int32_t memory[Dot::kNarrow ? BLOCKS * PIXELS * kLanes : 1];
  std::int32_t* wide = memory;
  asm("" : "+r"(wide));  // keeps the 32-bit sums out of the registers that the 16-bit ones need
  BITPILOT_UNROLL for (int b = 0; b < BLOCKS; ++b) BITPILOT_UNROLL for (int p = 0; p < PIXELS; ++p) {
    const Vec bias = load_all(task.bias + (group + b) * kLanes);
    sums[b][p] = Dot::kNarrow ? splat(0) : bias;
    if constexpr (Dot::kNarrow) store_all(wide + (b * PIXELS + p) * kLanes, bias);
  }
  BITPILOT_UNROLL for (int q = 0; q < BLOCKS * kLanes / 4; ++q)
      expect_stores(task, static_cast<std::size_t>(group * kLanes / 4 + q), 4 * static_cast<std::size_t>(position), 1);
  const int steps = Dot::kNarrow ? task.narrow_steps : 0;
  int left = steps;

  const std::size_t group_bytes = task.group_bytes, src_plane = task.src_plane;  // locals: the fence reloads members
  const std::uint8_t* weights = task.weights + static_cast<std::size_t>(group) * group_bytes;
  const std::int32_t* const taps = task.taps;
  const int tap_count = task.tap_count;
  for (int quad = task.quads; quad > 0; --quad, src += src_plane)
    for (int tap = 0; tap < tap_count; ++tap, weights += 4 * kLanes) {
      const std::uint8_t* at = src + taps[tap];
      Vec weight[BLOCKS];
      BITPILOT_UNROLL for (int b = 0; b < BLOCKS; ++b) weight[b] = load(weights + b * group_bytes);
      if constexpr (FETCH)
        BITPILOT_UNROLL for (int b = 0; b < BLOCKS; ++b)
            __builtin_prefetch(weights + static_cast<std::size_t>(BLOCKS + b) * group_bytes, 0, 2);
      BITPILOT_UNROLL for (int p = 0; p < PIXELS; ++p) {
        const Vec codes = broadcast(at + 4 * STRIDE * p);
        BITPILOT_UNROLL for (int b = 0; b < BLOCKS; ++b) sums[b][p] = Dot::multiply_add(sums[b][p], codes, weight[b]);
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
    BITPILOT_UNROLL for (int b = 0; b < BLOCKS; ++b) BITPILOT_UNROLL for (int p = 0; p < PIXELS; ++p) sums[b][p] =
        load_all(wide + (b * PIXELS + p) * kLanes);
  }
  BITPILOT_UNROLL for (int b = 0; b < BLOCKS; ++b) store_run<PIXELS>(task, (group + b) * kLanes, position, sums[b]);
}

/// filters_tile as the loops over rows take it.
template <class Dot, int BLOCKS, bool FETCH>
struct DotTile {
  template <int PIXELS, int STRIDE>
  static inline void run(const PreparedTask& task, int group, const std::uint8_t* src, int position) {
    filters_tile<Dot, BLOCKS, PIXELS, STRIDE, FETCH>(task, group, src, position);
  }
};

/// All rows of a run of blocks.  The last tile of a row reaches back over pixels that are done already.
template <class Tile, int PIXELS, int STRIDE>
[[gnu::noinline]] static void filters_rows(const PreparedTask& task, int group) {
  const int first = (task.first_position + task.row - 1) / task.row, end = (task.positions + task.row - 1) / task.row;
  for (int y = first; y < end; ++y) {
    const std::uint8_t* const src = task.src + static_cast<std::size_t>(y) * task.src_row;
    for (int x = 0; x < task.columns; x += PIXELS) {
      const int from = x + PIXELS <= task.columns ? x : task.columns - PIXELS;
      Tile::template run<PIXELS, STRIDE>(task, group, src + 4 * STRIDE * from, y * task.row + from);
    }
  }
}

/// Tiles of PIXELS pixels, of PIXELS - 1 where the width fits those better, or of single pixels in very narrow
/// pictures.
template <class Tile, int PIXELS, int STRIDE>
static void filters_width(const PreparedTask& task, int group) {
  const int width = task.columns;
  if (width < 4) return filters_rows<Tile, 1, STRIDE>(task, group);
  if constexpr (PIXELS > 4) {
    if (width < PIXELS - 1) return filters_rows<Tile, 4, STRIDE>(task, group);
    const bool fewer = (width + PIXELS - 2) / (PIXELS - 1) * (PIXELS - 1) < (width + PIXELS - 1) / PIXELS * PIXELS;
    if (fewer || width < PIXELS) return filters_rows<Tile, PIXELS - 1, STRIDE>(task, group);
  }
  filters_rows<Tile, PIXELS, STRIDE>(task, group);
}

template <class Dot, int PIXELS, int STRIDE>
static void filters_groups(const PreparedTask& task) {
  const bool fetch = static_cast<std::size_t>(task.groups) * task.group_bytes > kManyWeights;
  int group = task.first_group;
  for (; group + 2 <= task.groups; group += 2) {
    if (fetch)
      filters_width<DotTile<Dot, 2, true>, PIXELS, STRIDE>(task, group);
    else
      filters_width<DotTile<Dot, 2, false>, PIXELS, STRIDE>(task, group);
  }
  if (group < task.groups) filters_width<DotTile<Dot, 1, false>, PIXELS, STRIDE>(task, group);
}

template <class Dot, int PIXELS>
static void conv_by_filters(const PreparedTask& task) {
  if (task.stride == 1)
    filters_groups<Dot, PIXELS, 1>(task);
  else
    filters_groups<Dot, PIXELS, 2>(task);
}
