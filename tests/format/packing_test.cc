#include "runtime/format/packing.h"

#include <doctest/doctest.h>

#include "runtime/core/integer.h"
#include "runtime/core/random.h"

using namespace bitpilot;

TEST_CASE("format/packing: every code of every width survives") {
  Random random(1, "packing");
  for (int bits = 1; bits <= 8; ++bits)
    for (const bool is_unsigned : {false, true})
      for (const std::size_t count : {0UL, 1UL, 7UL, 8UL, 9UL, 1000UL}) {
        if (is_unsigned && bits == 8) continue;  // 128..255 does not fit int8
        std::vector<std::int8_t> codes;
        for (std::size_t i = 0; i < count; ++i)
          codes.push_back(static_cast<std::int8_t>(static_cast<int>(random.below(1ULL << bits)) +
                                                   (is_unsigned ? 0 : integer::signed_lowest(bits))));
        const std::vector<std::uint8_t> packed = pack_codes(codes, bits);
        CHECK(packed.size() == (count * static_cast<std::size_t>(bits) + 7) / 8);
        CHECK(packed.size() == packed_size(count, bits));
        CHECK(unpack_codes(packed, count, bits, is_unsigned) == codes);
      }
}

TEST_CASE("format/packing: codes lie side by side, lowest bit first") {
  CHECK(pack_codes(std::vector<std::int8_t>{1, -1, 0, -2, 1}, 2) == std::vector<std::uint8_t>{0b10001101, 0b00000001});
}

TEST_CASE("format/packing: sizes do not overflow") { CHECK(packed_size(1ULL << 62, 7) == (1ULL << 59) * 7); }
