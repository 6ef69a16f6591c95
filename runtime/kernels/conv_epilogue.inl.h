// No guard and no #include, on purpose: see conv.inl.h.  From sums to stored codes; all loops but the portable ones end
// here.  It needs
//   pack_pixels         four vectors -> one of bytes, clamped to 0..255: the lanes of each 128 bits side by side
//   codes_of_pixel<P>   what undoes it for the Pth vector
//   transposed          each 128 bits as 4 x 4 bytes, transposed
//   at_most_bytes       the smaller of unsigned bytes

/// Codes of four channels side by side, from codes one a lane, clamped to 0..255.
static inline Vec merged(Vec c0, Vec c1, Vec c2, Vec c3) { return transposed(pack_pixels(c0, c1, c2, c3)); }

/// Turns values into codes: clamp(rne(f * scale) + zero_point, 0, highest).  Packing clamps to bytes, so that bounded
/// values need one instruction for four vectors of them; others are clamped from above before they become integers:
/// what no integer can hold turns into INT_MIN, which is right below 0 (and for NaN) only.
struct CodeLimits {
  CodeLimits() = default;
  explicit CodeLimits(const CodeOutput& output)
      : scale(splat_real(output.scale)),
        highest(splat_real(static_cast<float>(output.highest - output.zero_point))),
        zero(splat(output.zero_point)),
        highest_code(splat(static_cast<int>(static_cast<unsigned>(output.highest) * 0x01010101U))),
        plain(output.bounded && output.scale == 1 && output.zero_point == 0) {}
  Vec code(Real value) const { return sum(to_int(at_most(multiply(value, scale), highest)), zero); }
  /// In the order of pack_pixels.
  Vec packed(const Real (&f)[4]) const {
    if (plain) return at_most_bytes(pack_pixels(to_int(f[0]), to_int(f[1]), to_int(f[2]), to_int(f[3])), highest_code);
    return pack_pixels(code(f[0]), code(f[1]), code(f[2]), code(f[3]));
  }
  Real scale, highest;
  Vec zero, highest_code;
  bool plain;
};

/// A task with what the epilogues of all its tiles have in common.
struct PreparedTask : ConvTask {
  static constexpr int kMostOutputs = 4;
  /// With kMostOutputs outputs from `first` on, or what is left of them.
  explicit PreparedTask(const ConvTask& task, int first = 0)
      : ConvTask(task), step(splat_real(carry.step)), zero(splat(carry.zero_point)) {
    outputs += first;
    output_count = std::min(output_count - first, kMostOutputs);
    for (int o = 0; o < output_count; ++o) limits[o] = CodeLimits(outputs[o]);
  }
  /// Adds the other operand of an Add, in the order of pack_pixels.
  void add(Real (&f)[4], Vec carried) const {
    f[0] = plus(f[0], multiply(to_real(minus(codes_of_pixel<0>(carried), zero)), step));
    f[1] = plus(f[1], multiply(to_real(minus(codes_of_pixel<1>(carried), zero)), step));
    f[2] = plus(f[2], multiply(to_real(minus(codes_of_pixel<2>(carried), zero)), step));
    f[3] = plus(f[3], multiply(to_real(minus(codes_of_pixel<3>(carried), zero)), step));
  }
  /// Hands the codes of each output, in the order of pack_pixels, to store(output, codes).
  template <class Store>
  [[gnu::always_inline]] void codes(const Real (&f)[4], const Store& store) const {
    for (int o = 0; o < output_count; ++o) store(outputs[o], limits[o].packed(f));
  }
  CodeLimits limits[kMostOutputs];
  Real step;
  Vec zero;
};

/// Runs `conv` on a task: once, unless it has so many outputs that it is easier done again for the rest of them.
template <class Conv>
static inline void prepared(const ConvTask& task, const Conv& conv) {
  for (int first = 0; first < task.output_count; first += PreparedTask::kMostOutputs) conv(PreparedTask(task, first));
}

/// Asks for a cache line of results before they are computed: stores retire in order, and each that finds its line
/// missing would hold up the others.
static inline void expect_store(const std::uint8_t* dst) { asm volatile("prefetchw %0" : : "m"(*dst)); }
/// The same for `count` vectors of the first output.
static inline void expect_stores(const ConvTask& task, std::size_t quad, std::size_t at, int count) {
  const std::uint8_t* const dst = task.outputs[0].dst + quad * task.outputs[0].plane + at;
  for (int v = 0; v < count; ++v) expect_store(dst + static_cast<std::size_t>(v) * sizeof(Vec));
}
