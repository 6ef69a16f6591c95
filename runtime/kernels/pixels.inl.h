// No guard and no #include, on purpose: see conv.inl.h.  The loops beside the convolution: pools, copies, changes of
// code, sums.

static void max_pool(const PoolTask& task) {
  for (int quad = 0; quad < task.quads; ++quad) {
    const std::uint8_t* src = task.src + static_cast<std::size_t>(quad) * task.src_plane;
    std::uint8_t* dst = task.dst + static_cast<std::size_t>(quad) * task.dst_plane;
    for (int position = 0; position < task.positions; position += kLanes) {
      Vec largest = splat(0);
      for (int tap = 0; tap < task.tap_count; ++tap)
        largest = larger_bytes(largest, load(src + 4 * position + task.taps[tap]));
      store_lanes(dst + 4 * position, largest, valid_lanes(task.valid, position));
    }
  }
}

/// The rows of a gather; the last vector of a row stores only what belongs to it.
static void gather(const GatherTask& task) {
  if (task.stride > 2) return kScalarKernels.gather(task);
  for (int quad = 0; quad < task.quads; ++quad)
    for (int row = 0; row < task.rows; ++row) {
      const std::uint8_t* src = task.src + static_cast<std::size_t>(quad) * task.src_plane +
                                static_cast<std::size_t>(row * task.stride) * task.src_row;
      std::uint8_t* dst =
          task.dst + static_cast<std::size_t>(quad) * task.dst_plane + static_cast<std::size_t>(row) * task.dst_row;
      for (int column = 0; column < task.columns; column += kLanes) {
        const std::uint8_t* at = src + 4 * column * task.stride;
        const Vec pixels = task.stride == 1 ? load(at) : even_lanes(load(at), load(at + 4 * kLanes));
        store_lanes(dst + 4 * column, pixels, first_lanes(task.columns - column));
      }
    }
}

static inline Vec recoded(Vec from, const RecodeTask& task) {
  const Real lowest = splat_real(static_cast<float>(-task.output.zero_point));
  const Real highest = splat_real(static_cast<float>(task.output.highest - task.output.zero_point));
  const Real value = multiply(to_real(minus(from, splat(task.src_zero))), splat_real(task.output.scale));
  return sum(to_int(at_most(at_least(value, lowest), highest)), splat(task.output.zero_point));
}

static void recode(const RecodeTask& task) {
  for (int quad = 0; quad < task.quads; ++quad) {
    const std::uint8_t* src = task.src + static_cast<std::size_t>(quad) * task.src_plane;
    std::uint8_t* dst = task.output.dst + static_cast<std::size_t>(quad) * task.output.plane;
    for (int position = 0; position < task.positions; position += kLanes) {
      const Vec codes = load(src + 4 * position);
      const Vec result = merged(recoded(channel_of<0>(codes), task), recoded(channel_of<1>(codes), task),
                                recoded(channel_of<2>(codes), task), recoded(channel_of<3>(codes), task));
      store_lanes(dst + 4 * position, result, valid_lanes(task.valid, position));
    }
  }
}

static void channel_sums(const SumTask& task) {
  for (int quad = 0; quad < task.quads; ++quad) {
    const std::uint8_t* src = task.src + static_cast<std::size_t>(quad) * task.src_plane;
    Vec s0 = splat(0), s1 = s0, s2 = s0, s3 = s0;
    for (int position = 0; position < task.positions; position += kLanes) {
      const Vec codes = load_lanes(src + 4 * position, valid_lanes(task.valid, position));
      s0 = sum(s0, channel_of<0>(codes));
      s1 = sum(s1, channel_of<1>(codes));
      s2 = sum(s2, channel_of<2>(codes));
      s3 = sum(s3, channel_of<3>(codes));
    }
    task.sums[4 * quad] = total(s0);
    task.sums[4 * quad + 1] = total(s1);
    task.sums[4 * quad + 2] = total(s2);
    task.sums[4 * quad + 3] = total(s3);
  }
}

/// Adds the products of quad QUAD and those behind it whose weights of BITS bits share these words.
template <int BITS, int QUAD>
static inline Vec add_quads(Vec sums, const Vec* values, Vec words) {
  if constexpr (BITS >= 8) {
    return multiply_add_words(sums, values[QUAD], words);
  } else if constexpr ((QUAD + 1) * BITS == 8) {
    return multiply_add_words(sums, values[QUAD], top_of_words<QUAD * BITS>(words));
  } else {
    sums = multiply_add_words(sums, values[QUAD], bits_of_words<QUAD * BITS, BITS>(words));
    return add_quads<BITS, QUAD + 1>(sums, values, words);
  }
}

/// Sums of GROUPS groups of eight filters: dst[o] += (sum over i of src[i] * weight(o, i)) << shift.  `surplus`: what the
/// halves that were added to weights come to.
template <int GROUPS, int BITS>
static inline void linear_groups(const LinearTask& task, int group, const std::int16_t* src, int shift,
                                 std::uint32_t surplus) {
  constexpr int kVectors = 16 / kLanes, kBytes = BITS == 16 ? 64 : 32, kQuads = BITS < 8 ? 8 / BITS : 1;
  Vec sums[GROUPS][kVectors];
  BITPILOT_UNROLL for (int g = 0; g < GROUPS; ++g) BITPILOT_UNROLL for (int v = 0; v < kVectors; ++v) sums[g][v] =
      splat(0);
  const std::size_t group_bytes = task.group_bytes;
  constexpr std::size_t kAhead = 2048;  // a large layer's weights are read once, from far
  const std::uint8_t* weights = task.weights + static_cast<std::size_t>(group) * group_bytes;
  for (int quad = 0; quad < task.quads; quad += kQuads, src += 4 * kQuads, weights += kBytes) {
    Vec values[kQuads];
    BITPILOT_UNROLL for (int q = 0; q < kQuads; ++q) values[q] = broadcast_quad(src + 4 * q);
    BITPILOT_UNROLL for (int g = 0; g < GROUPS; ++g) BITPILOT_UNROLL for (int v = 0; v < kVectors; ++v) {
      const std::uint8_t* at = weights + g * group_bytes + v * (kBytes / kVectors);
      __builtin_prefetch(at + kAhead);
      sums[g][v] = add_quads<BITS, 0>(sums[g][v], values, BITS == 16 ? load(at) : load_bytes_as_words(at));
    }
  }
  BITPILOT_UNROLL for (int g = 0; g < GROUPS; ++g) BITPILOT_UNROLL for (int v = 0; v < kVectors; ++v) {
    std::int32_t halves[kLanes];  // two of each filter
    store_all(halves, sums[g][v]);
    std::int32_t* dst = task.dst + 8 * (group + g) + v * (kLanes / 2);
    for (int o = 0; o < kLanes / 2; ++o)
      dst[o] = static_cast<std::int32_t>(
          static_cast<std::uint32_t>(dst[o]) +
          ((static_cast<std::uint32_t>(halves[2 * o]) + static_cast<std::uint32_t>(halves[2 * o + 1]) - surplus)
           << shift));
  }
}

template <int BITS>
static void linear_pass(const LinearTask& task, const std::int16_t* src, int shift) {
  std::uint32_t surplus = 0;
  if constexpr (BITS < 8) {
    constexpr int kQuads = 8 / BITS;
    for (int quad = 0; quad < task.quads; quad += kQuads)
      for (int i = 0; i < 4 * (kQuads - 1); ++i)
        surplus += static_cast<std::uint32_t>(std::int32_t{src[4 * quad + i]}) << (BITS - 1);
  }
  int group = 0;
  for (; group + 4 <= task.groups; group += 4) linear_groups<4, BITS>(task, group, src, shift, surplus);
  for (; group < task.groups; ++group) linear_groups<1, BITS>(task, group, src, shift, surplus);
}

static void linear(const LinearTask& task) {
  for (int o = 0; o < 8 * task.groups; ++o) task.dst[o] = 0;
  const Packing::Format format = task.packing.format;
  const auto pass = format == Packing::Format::kInt2    ? linear_pass<2>
                    : format == Packing::Format::kInt4  ? linear_pass<4>
                    : format == Packing::Format::kBytes ? linear_pass<8>
                                                        : linear_pass<16>;
  pass(task, task.low, 0);
  if (task.high != nullptr) pass(task, task.high, 15);
}
