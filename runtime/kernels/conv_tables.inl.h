// No guard and no #include, on purpose: included once per instruction set, behind conv_filters.inl.h, whose loops over
// rows and epilogue it uses.  Product tables in place of products (the idea of T-MAC, arXiv 2407.00088, turned round:
// the table belongs to the activation codes, so it is a constant and not made for each picture).  One byte shuffle
// looks up the products of kTableChannels channels of one pixel with the weights of as many filters as a vector has
// bytes.  It needs
//   kTableChannels             2 or 3: a shuffle's index has 4 or 6 bits
//   kRoomForWords              whether there are registers for 16-bit sums beside the bytes
//   kTableBlocks               vectors of filters in a tile, 1 or 2
//   look_up                    acc + what a table holds for each filter's index, in bytes
//   splat_bytes, splat_words   one number in every 8 or 16 bits;  add_to_words: byte sums to 16-bit ones
//   WideSums                   16-bit sums as four vectors of 32 bits
//
// Sums of bytes: the entries of one table reach from -2 to +1 times the sum of the codes, a spread of 3 *
// kTableChannels * highest code; so many of them as stay below 256 together can be added to a start of two thirds and
// taken as unsigned. Then the byte sums are added up in 16 bits: `raw` adds even + 256 * odd, `odd` the upper bytes
// alone, both modulo 2^16.

constexpr int kTableFilters = sizeof(Vec);

/// Tables for codes of BITS bits: entry i of table c holds the sum over channels k of code k of c times weight k of i,
/// the weights in two's complement, the first ones lowest.
template <int BITS>
struct ProductTables {
  static constexpr int kHighest = (1 << BITS) - 1;
  static constexpr int kSpread = 3 * kTableChannels * kHighest;            ///< of the entries
  static constexpr int kLookups = 255 / kSpread;                           ///< that a byte sum can take
  static constexpr int kStart = kLookups * 2 * kTableChannels * kHighest;  ///< of a byte sum: minus its lowest
  static constexpr int kSteps = kLookups / 2;                              ///< the same in taps of a plane: two each
  static constexpr int weight(int bits) { return (bits ^ 2) - 2; }
  constexpr ProductTables() {
    for (int code = 0; code < 1 << (kTableChannels * BITS); ++code)
      for (int i = 0; i < kTableFilters; ++i) {
        int sum_of_products = 0;
        for (int k = 0; k < kTableChannels; ++k)
          sum_of_products += ((code >> (k * BITS)) & kHighest) * weight(i >> (kTableWeightBits * k) & 3);
        sums[code][i] = static_cast<std::int8_t>(sum_of_products);
      }
  }
  alignas(64) std::int8_t sums[1 << (kTableChannels * BITS)][kTableFilters] = {};
};
template <int BITS>
constexpr ProductTables<BITS> kProductTables;

/// BLOCKS vectors of filters at PIXELS pixels of one row, STRIDE apart; codes of BITS bits.  Two blocks share the
/// tables that they load.
template <int BITS, int BLOCKS>
struct TableTile {
  template <int PIXELS, int STRIDE>
  static inline void run(const PreparedTask& task, int group, const std::uint8_t* src, int position) {
    using Tables = ProductTables<BITS>;
    constexpr int kSums = BLOCKS * PIXELS;
    const auto* const tables = reinterpret_cast<const std::uint8_t*>(kProductTables<BITS>.sums);
    Vec memory[2 * kSums];
    Vec* words = memory;
    if constexpr (!kRoomForWords) asm("" : "+r"(words));  // keeps them out of the registers that the bytes need
    BITPILOT_UNROLL for (int i = 0; i < 2 * kSums; ++i) words[i] = splat(0);

    const std::size_t group_bytes = task.group_bytes;
    const std::uint8_t* weights = task.weights + static_cast<std::size_t>(group) * group_bytes;
    const std::int32_t* taps = task.taps;
    const Vec start = splat_bytes(Tables::kStart);
    int runs = 0;
    for (int left = task.tap_count; left > 0; left -= Tables::kSteps, ++runs) {
      Vec bytes[BLOCKS][PIXELS];
      BITPILOT_UNROLL for (int i = 0; i < kSums; ++i) bytes[i / PIXELS][i % PIXELS] = start;
      for (int step = std::min(left, Tables::kSteps); step > 0; --step, ++taps, weights += 2 * kTableFilters) {
        const std::uint8_t* const at = src + *taps;
        BITPILOT_UNROLL for (int slot = 0; slot < 2; ++slot) {
          Vec index[BLOCKS];
          BITPILOT_UNROLL for (int b = 0; b < BLOCKS; ++b) index[b] =
              load(weights + b * group_bytes + slot * kTableFilters);
          BITPILOT_UNROLL for (int p = 0; p < PIXELS; ++p) {
            std::uint16_t place;
            __builtin_memcpy(&place, at + 4 * STRIDE * p + 2 * slot, sizeof(place));
            const Vec table = load(tables + place);
            BITPILOT_UNROLL for (int b = 0; b < BLOCKS; ++b) bytes[b][p] = look_up(bytes[b][p], table, index[b]);
          }
        }
      }
      BITPILOT_UNROLL for (int i = 0; i < kSums; ++i)
          add_to_words(words + i, words + kSums + i, bytes[i / PIXELS][i % PIXELS]);
    }
    const Vec starts = splat_words(runs * Tables::kStart);
    for (int b = 0; b < BLOCKS; ++b)
      store_sums<PIXELS>(task, (group + b) * kTableFilters, position, words + b * PIXELS, kSums, starts);
  }

  /// Stores a block of filters; `odd`: how far its second sums stand behind the first.
  template <int PIXELS>
  static inline void store_sums(const PreparedTask& task, int filter, int position, const Vec* words, int odd,
                                Vec starts) {
    Vec sums[4][PIXELS];
    const std::int32_t* const bias = task.bias + filter;
    BITPILOT_UNROLL for (int p = 0; p < PIXELS; ++p) {
      const WideSums wide(words[p], words[odd + p], starts);
      sums[0][p] = sum(wide.part<0>(), load_all(bias));
      sums[1][p] = sum(wide.part<1>(), load_all(bias + kLanes));
      sums[2][p] = sum(wide.part<2>(), load_all(bias + 2 * kLanes));
      sums[3][p] = sum(wide.part<3>(), load_all(bias + 3 * kLanes));
    }
    for (int part = 0; part < 4; ++part) store_run<PIXELS>(task, filter + part * kLanes, position, sums[part]);
  }
};

template <int BITS, int STRIDE>
[[gnu::noinline]] static void table_groups(const PreparedTask& task) {
  int group = task.first_group;
  if constexpr (kTableBlocks == 2)
    for (; group + 2 <= task.groups; group += 2) filters_width<TableTile<BITS, 2>, 4, STRIDE>(task, group);
  for (; group < task.groups; ++group) filters_width<TableTile<BITS, 1>, 8, STRIDE>(task, group);
}

/// Bits of the codes that the tables of a layer are for.
static inline int table_bits(int code_bound) { return code_bound <= 3 ? 2 : 3; }

static void conv_by_table_filters(const PreparedTask& task) {
  if (table_bits(task.code_bound) == 2)
    task.stride == 1 ? table_groups<2, 1>(task) : table_groups<2, 2>(task);
  else
    task.stride == 1 ? table_groups<3, 1>(task) : table_groups<3, 2>(task);
}

/// Weights of 2 bits, codes of 2 or 3, and no larger a sum than 16 bits take.
static bool tables_fit(const ConvShape& shape) {
  return !shape.depthwise && shape.stride <= 2 && shape.lowest >= -2 && shape.highest <= 1 && shape.code_bound <= 7 &&
         shape.in * shape.kernel * shape.kernel * 2 * shape.code_bound <= 32768;
}
