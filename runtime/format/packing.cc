#include "runtime/format/packing.h"

namespace bitpilot {

std::uint64_t packed_size(std::uint64_t count, int bits) {
  // count / 8 whole groups of 8 codes take `bits` bytes each: no product of count * bits that could overflow.
  return count / 8 * static_cast<std::uint64_t>(bits) + (count % 8 * static_cast<std::uint64_t>(bits) + 7) / 8;
}

std::vector<std::uint8_t> pack_codes(std::span<const std::int8_t> codes, int bits) {
  std::vector<std::uint8_t> packed(packed_size(codes.size(), bits), 0);
  std::size_t position = 0;
  for (const std::int8_t code : codes)
    for (int bit = 0; bit < bits; ++bit, ++position)
      packed[position / 8] = static_cast<std::uint8_t>(packed[position / 8] | ((code >> bit & 1) << (position % 8)));
  return packed;
}

std::vector<std::int8_t> unpack_codes(std::span<const std::uint8_t> packed, std::uint64_t count, int bits,
                                      bool is_unsigned) {
  std::vector<std::int8_t> codes;
  codes.reserve(count);
  std::size_t position = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    int code = 0;
    for (int bit = 0; bit < bits; ++bit, ++position) code |= (packed[position / 8] >> (position % 8) & 1) << bit;
    if (!is_unsigned && (code >> (bits - 1) & 1) != 0) code -= 1 << bits;
    codes.push_back(static_cast<std::int8_t>(code));
  }
  return codes;
}

}  // namespace bitpilot
