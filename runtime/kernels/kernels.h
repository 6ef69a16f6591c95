#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// Kernels: the loops over pixels, once per instruction set.
///
/// Layout "C4" of every value: u8 [channels / 4][position][4 channels].  Pixels stand in vector lanes, four channels of
/// one pixel in one 32-bit lane, so any multiple of four filters is computed without waste and one dot-product
/// instruction takes four channels. A position is a flat index y * row + x with row = width + pad: the `pad` columns
/// right of one row are the border left of the next. Kernels run over positions 0 .. height * row - 1 of the result,
/// border columns included, and store only where `valid` has its bit set. They may read up to kSlackPositions positions
/// past the last pixel of a plane; what they read there never reaches a stored code.
///
/// Weights are "effective": e = g * code + h (integer::AccumulatorForm), so that every Form is one plain dot product;
/// the zero point of the input is part of the bias: -z_a * sum(e).  Sums wrap modulo 2^32 on the way; the result fits
/// (fold_layer checks it).
namespace bitpilot {

inline constexpr int kSlackPositions = 64;
/// Filters per group in packed weights are at most this many; values, multipliers and biases are padded to a multiple
/// of it.
inline constexpr int kFilterPadding = 16;

/// How packed weights lie, [filter group][input quad][tap][filter][4 channels], and what a vector's lanes hold.
struct Packing {
  /// kBytes: s8 of channels 0 1 2 3.  kWords: s16 of channels 0 2 1 3 (even and odd bytes of a lane meet them as
  /// pairs).  kTables: weights of 2 bits as places in tables of products, see table_place.  kInt4, kInt2: of linear()
  /// alone, see linear_quads.
  enum class Format { kBytes, kWords, kTables, kInt4, kInt2 };
  /// kPixels: flat positions, border columns included; strided windows need gathered copies.
  /// kRows: pixels of one row at stride 2, read in place.
  /// kFilters: a group of filters; runs along rows, strides of 1 or 2 are read in place.
  /// kTaps: a row of the window of one channel, for depthwise windows of 3 x 3; strides as for kFilters.  Weights lie
  ///   [filter group][row][filter][3 taps and a zero], s8.
  enum class Lanes { kPixels, kRows, kFilters, kTaps };
  Format format = Format::kWords;
  int group = 4;  ///< filters per group
  Lanes lanes = Lanes::kPixels;
  auto operator<=>(const Packing&) const = default;
};

/// What the choice of a packing depends on.
struct ConvShape {
  bool depthwise = false;
  int lowest = 0, highest = 0;  ///< effective weights
  int code_bound = 255;         ///< largest input code
  int in = 1, out = 1, kernel = 1, stride = 1;
  int active_out = 1;  ///< filters that are computed, 1..out: what is fastest depends on it, what is possible does not
  int width = 1, height = 1;  ///< of the result
};
inline constexpr int kMaxPackings = 5;
/// "bytes by filters", "words by pixels", "tables by filters", ...
std::string packing_name(const Packing& packing);

/// Product tables: the codes of two or three channels of one pixel, side by side, have a table with the sum of products
/// for each tuple of as many 2-bit weights.  The tables follow from the formats alone, so that all layers share them.
inline constexpr int kTableWeightBits = 2;
/// Channels of one place in a table: what a vector of as many bytes as filters can look up, 64 entries or 16.
inline constexpr int table_channels(const Packing& packing) { return packing.group == 64 ? 3 : 2; }
/// Where an input channel's weight stands in a packing of kTables: [plane][tap][slot][filter], from bit `shift` on.
struct TablePlace {
  int plane = 0, slot = 0, shift = 0;
};
TablePlace table_place(const Packing& packing, int channel);
/// Planes of a layer with as many input quads.
inline constexpr int table_planes(const Packing& packing, int quads) {
  return table_channels(packing) == 3 ? (quads + 2) / 3 * 2 : quads;
}

/// One code made of a value f: clamp(rne(f * scale) + zero_point, 0, highest).
struct CodeOutput {
  std::uint8_t* dst = nullptr;  ///< position 0 of quad 0
  std::size_t plane = 0;        ///< bytes from quad to quad
  float scale = 1;              ///< 1 if the multiplier is already in units of the code
  int zero_point = 0;
  int highest = 255;
  bool bounded = false;  ///< |f * scale| stays below 2^31, whatever int32 the sum is
};

/// The Add's other operand: f += float(code - zero_point) * step.  `src` nullptr: no Add.
struct CarryInput {
  const std::uint8_t* src = nullptr;
  std::size_t plane = 0;
  float step = 1;
  int zero_point = 0;
};

/// A convolution with its fused epilogue: f = float(sum + bias) * multiplier (+ carry), then one code per output.
struct ConvTask {
  const std::uint8_t* src = nullptr;    ///< position 0 of quad 0; what PairTask made where the packing is kTables
  std::size_t src_plane = 0;            ///< bytes from quad to quad
  const std::int32_t* taps = nullptr;   ///< byte offset of each tap from the position itself
  int tap_count = 0;                    ///< of kTables: taps of all planes, one list, in the order of the weights
  int first_position = 0;               ///< a multiple of 64; a part of a task leaves out what stands before it ...
  int positions = 0;                    ///< ... and from here on
  const std::uint8_t* valid = nullptr;  ///< one bit a position, lowest bit first, padded to a multiple of 32 with zeros
  /// Not for Packing::Lanes::kPixels: the rows of the result.
  int columns = 0;          ///< pixels of a row
  int row = 0;              ///< positions from row to row
  std::size_t src_row = 0;  ///< bytes from what one row reads to what the next one reads
  int stride = 1;           ///< 1 or 2
  Packing packing;
  const std::uint8_t* weights = nullptr;  ///< packed, 64-byte aligned
  std::size_t group_bytes = 0;            ///< from filter group to filter group
  int first_group = 0;                    ///< the same for filter groups
  int groups = 0;                         ///< end of the filter groups computed
  int quads = 0;                          ///< input quads that each group reads ...
  int quad_step = 0;     ///< ... from quad group * quad_step on: 0 dense, 1 depthwise (its filter groups are of 4)
  int code_bound = 255;  ///< no input code is larger
  int narrow_steps = 1;  ///< PackedWeights::narrow_steps
  const float* multiplier = nullptr;   ///< per filter
  const std::int32_t* bias = nullptr;  ///< per filter
  CarryInput carry;
  const CodeOutput* outputs = nullptr;
  int output_count = 0;
};

/// What conv() reads where its packing is kTables.  By filters: planes of two u16 a position, the places of two tables
/// in bytes: of channels 0 1 and 2 3 of a quad, or (table_channels 3) of channels 0 and 2 of three quads in one plane
/// and of 1 and 3 in the next; rows and taps stay as they are.  By pixels: u8 [quad][channels 0 1, channels 2
/// 3][position].
struct PairTask {
  const std::uint8_t* src = nullptr;  ///< start of plane 0, border included
  std::size_t src_plane = 0;          ///< bytes from quad to quad, a multiple of 64
  int quads = 0;
  std::uint8_t* dst = nullptr;
  std::size_t dst_plane = 0;  ///< paired_plane(packing, src_plane)
  Packing packing;
  int code_bound = 3;  ///< that of the convolution; higher bits are left out
};
/// Bytes from plane to plane of it (by pixels: from quad to quad).
inline std::size_t paired_plane(const Packing& packing, std::size_t plane) {
  return packing.lanes == Packing::Lanes::kPixels ? (plane / 4 + 31) / 32 * 64 : plane;
}

/// dst[position] = max over taps of src[position + tap].
struct PoolTask {
  const std::uint8_t* src = nullptr;
  std::size_t src_plane = 0;
  const std::int32_t* taps = nullptr;
  int tap_count = 0;
  int positions = 0;
  const std::uint8_t* valid = nullptr;
  int quads = 0;
  std::uint8_t* dst = nullptr;
  std::size_t dst_plane = 0;
};

/// Copies every `stride`-th pixel, so that a strided window becomes an ordinary one: dst[y][x] = src[y * stride][x *
/// stride].
struct GatherTask {
  const std::uint8_t* src = nullptr;       ///< first pixel taken, of quad 0
  std::size_t src_plane = 0, src_row = 0;  ///< bytes
  std::uint8_t* dst = nullptr;
  std::size_t dst_plane = 0, dst_row = 0;
  int quads = 0, rows = 0, columns = 0, stride = 1;
};

/// One code from another: dst = clamp(rne(float(src - src_zero) * output.scale) + output.zero_point, 0,
/// output.highest).
struct RecodeTask {
  const std::uint8_t* src = nullptr;
  std::size_t src_plane = 0;
  int src_zero = 0;
  int positions = 0;
  const std::uint8_t* valid = nullptr;
  int quads = 0;
  CodeOutput output;
};

/// sums[4 * quad + c] = sum of the codes over valid positions.
struct SumTask {
  const std::uint8_t* src = nullptr;
  std::size_t src_plane = 0;
  int positions = 0;
  const std::uint8_t* valid = nullptr;
  int quads = 0;
  std::int32_t* sums = nullptr;
};

/// Fills in how every set's linear() can have `count` effective weights in [lowest, highest], the one that is fastest as
/// a rule first; returns how many.
int linear_packings(int lowest, int highest, std::int64_t count, Packing (&legal)[kMaxPackings]);
/// Quads whose weights share their bytes: [filter group][that many quads][filter][4 channels].  kInt4 and kInt2 hold the
/// weights of 2 and 4 quads in one byte, the first quad's lowest: the last one's two's complement, the others' with half
/// of their range added (what is too much is one number for all filters).
inline constexpr int linear_quads(Packing::Format format) {
  return format == Packing::Format::kInt4 ? 2 : format == Packing::Format::kInt2 ? 4 : 1;
}

/// dst[o] = sum over i of src[i] * weight(o, i), modulo 2^32, in one of linear_packings.  src[i] = low[i] + high[i] *
/// 2^15, both in the packing's channel order and padded with zeros to `quads`, a multiple of linear_quads; high nullptr:
/// all 0.
struct LinearTask {
  const std::int16_t* low = nullptr;
  const std::int16_t* high = nullptr;
  Packing packing;
  const std::uint8_t* weights = nullptr;
  std::size_t group_bytes = 0;
  int groups = 0;
  int quads = 0;
  std::int32_t* dst = nullptr;
};

/// One instruction set.  All tables give the same integers for the same task.
struct Kernels {
  const char* name;     ///< "scalar", "avx2", "avxvnni", "avx512vnni", "avx512vbmi"
  bool bits_count;      ///< narrower codes or weights take less time
  bool (*supported)();  ///< by this processor and operating system
  /// Fills in the packings that conv() can use for such a layer, the one that is fastest as a rule first; returns how
  /// many.
  int (*packings)(const ConvShape& shape, Packing (&legal)[kMaxPackings]);
  void (*conv)(const ConvTask&);
  void (*pair)(const PairTask&);  ///< nullptr if no packing is kTables
  void (*max_pool)(const PoolTask&);
  void (*gather)(const GatherTask&);
  void (*recode)(const RecodeTask&);
  void (*channel_sums)(const SumTask&);
  void (*linear)(const LinearTask&);
  /// Does `rounds` times a few hundred independent products of the fastest kind that conv() has, and returns how many:
  /// timing it gives this core's arithmetic peak.
  std::int64_t (*peak)(int rounds);
};

extern const Kernels kScalarKernels;  ///< portable, the reference of all
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvxVnniKernels;
extern const Kernels kAvx512VnniKernels;
extern const Kernels kAvx512VbmiKernels;
#endif

/// Every table of this build, fastest first, supported here or not.
const std::vector<const Kernels*>& all_kernels();
/// The fastest supported one, or the one that BITPILOT_ISA names.  Throws Error(kMachine) naming the available ones if
/// that name is unknown or this processor lacks it.
const Kernels& active_kernels();
/// The same for a given name ("" = fastest).
const Kernels& find_kernels(const std::string& name);

}  // namespace bitpilot
