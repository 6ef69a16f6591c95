// No guard and no #include, on purpose: see conv.inl.h.  Depthwise windows of 3 x 3: a lane holds a row of the window
// of one channel, so one dot product takes three taps, where quads of channels would use one byte in four.  Beside
// conv_filters.inl.h it needs
//   broadcast_128   16 bytes of memory in every 128 bits
//   one_tap_later   the bytes of each lane one place up, zero below
//   pairs_apart     64 bits each, kLanes / 4 of the first half in the even places;  pairs_in_order undoes it

/// Weights and numbers of one quad of filters, the same in every 128 bits.
struct DepthwiseQuad {
  DepthwiseQuad(const PreparedTask& task, int group)
      : bias(broadcast_128(task.bias + 4 * group)), multiplier(as_real(broadcast_128(task.multiplier + 4 * group))) {
    const std::uint8_t* const weights = task.weights + static_cast<std::size_t>(group) * task.group_bytes;
    BITPILOT_UNROLL for (int y = 0; y < 3; ++y) {
      first[y] = broadcast_128(weights + 16 * y);
      second[y] = one_tap_later(first[y]);
    }
  }
  Vec first[3], second[3];  ///< taps 0 1 2 in bytes 0 1 2 of a lane, or in bytes 1 2 3
  Vec bias;
  Real multiplier;
};

/// Sums of kLanes results in a row: lane 4 l + c of sums[s] is channel c of pixel 4 l + s.  With a stride of 2 pairs
/// are apart: sums 0 and 1 have pixels 2 l and 2 l + 1, sums 2 and 3 those kLanes / 2 further.
template <class Dot, int STRIDE>
[[gnu::always_inline]] static inline void depthwise_sums(const DepthwiseQuad& quad,
                                                         const std::uint8_t* const (&rows)[3], std::size_t at,
                                                         Vec (&sums)[4]) {
  BITPILOT_UNROLL for (int s = 0; s < 4; ++s) sums[s] = quad.bias;
  BITPILOT_UNROLL for (int y = 0; y < 3; ++y) {
    const std::uint8_t* const from = rows[y] + at;
    if constexpr (STRIDE == 1) {
      // Four pixels are what two neighbouring windows see.
      const Vec near = transposed(load(from)), far = transposed(load(from + 8));
      sums[0] = Dot::multiply_add(sums[0], near, quad.first[y]);
      sums[1] = Dot::multiply_add(sums[1], near, quad.second[y]);
      sums[2] = Dot::multiply_add(sums[2], far, quad.first[y]);
      sums[3] = Dot::multiply_add(sums[3], far, quad.second[y]);
    } else {
      const std::uint8_t* const half = from + 4 * kLanes;
      sums[0] = Dot::multiply_add(sums[0], transposed(load(from)), quad.first[y]);
      sums[1] = Dot::multiply_add(sums[1], transposed(load(from + 8)), quad.first[y]);
      sums[2] = Dot::multiply_add(sums[2], transposed(load(half)), quad.first[y]);
      sums[3] = Dot::multiply_add(sums[3], transposed(load(half + 8)), quad.first[y]);
    }
  }
}

/// Results from `position` to `end` whose windows begin at `rows`; `flat`: what is valid tells which of them exist.
template <class Dot, int STRIDE>
static inline void depthwise_run(const PreparedTask& task, const DepthwiseQuad& numbers, std::size_t quad,
                                 const std::uint8_t* const (&rows)[3], int position, int end, bool flat) {
  constexpr std::size_t kAhead = 8 * sizeof(Vec);
  const CodeLimits limits = task.limits[0];  // locals: a store might change members
  std::uint8_t* const dst = task.outputs[0].dst + quad * task.outputs[0].plane;
  const std::uint8_t* const valid = task.valid;
  const bool one = task.output_count == 1 && task.carry.src == nullptr;
  std::size_t from = 0, to = 4 * static_cast<std::size_t>(position);
  for (; position < end; position += kLanes, from += STRIDE * sizeof(Vec), to += sizeof(Vec)) {
    expect_store(dst + to + kAhead);
    Vec sums[4];
    depthwise_sums<Dot, STRIDE>(numbers, rows, from, sums);
    const Lanes stored = flat ? valid_lanes(valid, position) : first_lanes(end - position);
    Real f[4];
    BITPILOT_UNROLL for (int s = 0; s < 4; ++s) f[s] = multiply(to_real(sums[s]), numbers.multiplier);
    if (one) {
      const Vec codes = limits.packed(f);
      store_lanes(dst + to, STRIDE == 2 ? pairs_in_order(codes) : codes, stored);
      continue;
    }
    if (task.carry.src != nullptr) {
      const Vec carried = load(task.carry.src + quad * task.carry.plane + to);
      task.add(f, STRIDE == 2 ? pairs_apart(carried) : carried);
    }
    task.codes(f, [&](const CodeOutput& output, Vec codes) {
      store_lanes(output.dst + quad * output.plane + to, STRIDE == 2 ? pairs_in_order(codes) : codes, stored);
    });
  }
}

template <class Dot, int STRIDE>
[[gnu::noinline]] static void depthwise_groups(const PreparedTask& task) {
  // Where the result's rows are as long as those that it reads, all of it is one run.
  const bool flat = STRIDE == 1 && task.src_row == 4 * static_cast<std::size_t>(task.row);
  const int first = (task.first_position + task.row - 1) / task.row, end = (task.positions + task.row - 1) / task.row;
  for (int group = task.first_group; group < task.groups; ++group) {
    const DepthwiseQuad numbers(task, group);
    const auto quad = static_cast<std::size_t>(group);
    const std::uint8_t* const src = task.src + quad * task.src_plane;
    const auto run = [&](const std::uint8_t* from, int position, int last) {
      const std::uint8_t* const rows[3] = {from + task.taps[0], from + task.taps[3], from + task.taps[6]};
      depthwise_run<Dot, STRIDE>(task, numbers, quad, rows, position, last, flat);
    };
    if (flat)
      run(src + 4 * static_cast<std::size_t>(task.first_position), task.first_position, task.positions);
    else
      for (int y = first; y < end; ++y)
        run(src + static_cast<std::size_t>(y) * task.src_row, y * task.row, y * task.row + task.columns);
  }
}

template <class Dot>
static void conv_depthwise(const PreparedTask& task) {
  task.stride == 1 ? depthwise_groups<Dot, 1>(task) : depthwise_groups<Dot, 2>(task);
}
