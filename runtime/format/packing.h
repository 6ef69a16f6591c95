#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitpilot {

/// ceil(count * bits / 8), in 64 bits.
std::uint64_t packed_size(std::uint64_t count, int bits);
/// Codes of `bits` (1..8) side by side, lowest bit first; unused last bits are 0.
std::vector<std::uint8_t> pack_codes(std::span<const std::int8_t> codes, int bits);
/// The reverse.  Two's complement unless `is_unsigned`.  `packed` must have packed_size(count, bits) bytes.
std::vector<std::int8_t> unpack_codes(std::span<const std::uint8_t> packed, std::uint64_t count, int bits,
                                      bool is_unsigned);

}  // namespace bitpilot
