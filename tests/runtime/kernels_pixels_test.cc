#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <set>
#include <string>

#include "runtime/core/random.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/packing.h"

using namespace bitpilot;

namespace {

constexpr int kQuads = 3;
constexpr int kHeight = 7, kWidth = 19, kPad = 2, kRow = kWidth + kPad;
constexpr std::size_t kPlane = 4 * ((kHeight + 2 * kPad) * kRow + kPad);
constexpr std::size_t kOrigin = 4 * (kPad * kRow + kPad);

std::vector<std::uint8_t> random_bytes(std::uint64_t seed) {
  Random random(seed, "pixels");
  std::vector<std::uint8_t> bytes(kQuads * kPlane + 8 * kSlackPositions);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.below(256));
  return bytes;
}

std::vector<std::uint8_t> valid_bits() {
  std::vector<std::uint8_t> bits(kHeight * kRow / 8 + 8, 0);
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      bits[static_cast<std::size_t>((y * kRow + x) / 8)] |= static_cast<std::uint8_t>(1 << ((y * kRow + x) % 8));
  return bits;
}

const std::vector<std::uint8_t> kSrc = random_bytes(1);
const std::vector<std::uint8_t> kValid = valid_bits();

/// Bytes that `run` leaves in a value that held random ones.
using Run = std::function<void(const Kernels&, std::uint8_t* dst)>;
void check_all(const Run& run) {
  std::vector<std::uint8_t> reference = random_bytes(2);
  run(kScalarKernels, reference.data() + kOrigin);
  CHECK(reference != random_bytes(2));
  for (const Kernels* kernels : all_kernels()) {
    if (!kernels->supported()) continue;
    INFO(std::string(kernels->name));
    std::vector<std::uint8_t> dst = random_bytes(2);
    run(*kernels, dst.data() + kOrigin);
    CHECK(dst == reference);
  }
}

}  // namespace

TEST_CASE("kernels: max pools of every set are equal and leave the border alone") {
  const std::vector<std::int32_t> taps{-4 * kRow - 4, -4 * kRow, 0, 4, 4 * kRow + 4};
  check_all([&](const Kernels& kernels, std::uint8_t* dst) {
    kernels.max_pool({kSrc.data() + kOrigin, kPlane, taps.data(), static_cast<int>(taps.size()), kHeight * kRow,
                      kValid.data(), kQuads, dst, kPlane});
  });
}

TEST_CASE("kernels: gathers of every set copy the same pixels at strides 1 to 3, and no more") {
  for (int stride = 1; stride <= 3; ++stride)
    for (const int columns : {1, 5, 8, 9}) {
      if (columns * stride > kWidth + kPad) continue;
      check_all([&](const Kernels& kernels, std::uint8_t* dst) {
        kernels.gather({kSrc.data() + kOrigin - 4, kPlane, 4 * kRow, dst, kPlane, 4 * kRow, kQuads, kHeight / stride,
                        columns, stride});
      });
    }
}

TEST_CASE("kernels: every set changes codes by the 256-entry rule") {
  for (const float scale : {1.0F, 0.5F, 0.0123F, 3.7F})
    for (const int src_zero : {0, 128})
      for (const auto& [zero_point, highest] : {std::pair{0, 255}, {0, 3}, {2, 15}, {128, 255}})
        check_all([&](const Kernels& kernels, std::uint8_t* dst) {
          RecodeTask task{kSrc.data() + kOrigin, kPlane, src_zero, kHeight * kRow, kValid.data(), kQuads, {}};
          task.output = {dst, kPlane, scale, zero_point, highest};
          kernels.recode(task);
        });
}

TEST_CASE("kernels: every set sums the valid pixels of each channel") {
  for (const Kernels* kernels : all_kernels()) {
    if (!kernels->supported()) continue;
    std::vector<std::int32_t> sums(4 * kQuads);
    kernels->channel_sums({kSrc.data() + kOrigin, kPlane, kHeight * kRow, kValid.data(), kQuads, sums.data()});
    for (int c = 0; c < 4 * kQuads; ++c) {
      std::int32_t expected = 0;
      for (int y = 0; y < kHeight; ++y)
        for (int x = 0; x < kWidth; ++x)
          expected += kSrc[static_cast<std::size_t>(c / 4) * kPlane + kOrigin +
                           static_cast<std::size_t>(4 * (y * kRow + x) + c % 4)];
      CHECK(sums[static_cast<std::size_t>(c)] == expected);
    }
  }
}

TEST_CASE("kernels: every set multiplies vector and matrix modulo 2^32, in every packing of the weights") {
  Random random(5, "linear");
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(random.below(static_cast<std::uint64_t>(high - low + 1)));
  };
  std::set<Packing::Format> formats;
  for (const auto& [lowest, highest] : {std::pair{-2, 1}, {-1, 1}, {-8, 7}, {0, 7}, {-127, 127}, {-32767, 32767}})
    for (const auto& [in, out] : {std::pair{37, 45}, {64, 10}, {3, 8}, {4, 100}, {18, 33}, {101, 700}})
      for (const bool ends : {false, true}) {  // of the ranges, which overflow careless sums
        EffectiveWeights weights{out, in, 1, false, {}};
        for (int i = 0; i < in * out; ++i) {
          const int filter = i / in % 3;  // one in three is all high, one all low, one mixed
          const int end = filter == 0 || (filter == 2 && between(0, 1) == 1) ? highest : lowest;
          weights.values.push_back(static_cast<std::int16_t>(ends ? end : between(lowest, highest)));
        }
        Packing legal[kMaxPackings];
        const int packings = linear_packings(lowest, highest, in * out, legal);
        REQUIRE(packings == (lowest >= -8 ? 2 : 1));
        for (int p = 0; p < packings; ++p) {
          const Packing packing = legal[p];
          formats.insert(packing.format);
          const PackedWeights packed = pack_weights(weights, packing);
          const bool words = packing.format == Packing::Format::kWords;
          const int together = linear_quads(packing.format), quads = ((in + 3) / 4 + together - 1) / together * together;
          std::vector<std::int16_t> low, high;
          for (int i = 0; i < 4 * quads; ++i) {
            low.push_back(static_cast<std::int16_t>(ends ? 32767 : between(0, 32767)));  // padding meets weights of 0
            high.push_back(static_cast<std::int16_t>(ends ? 32767 : between(0, 32767)));
          }
          for (const Kernels* kernels : all_kernels()) {
            if (!kernels->supported()) continue;
            INFO(std::string(kernels->name), ", ", packing_name(packing), ", ", in, " x ", out);
            for (const bool with_high : {false, true}) {
              std::vector<std::int32_t> dst(static_cast<std::size_t>((out + 7) / 8 * 8));
              kernels->linear({low.data(), with_high ? high.data() : nullptr, packing, packed.data(), packed.group_bytes,
                               (out + 7) / 8, quads, dst.data()});
              for (int o = 0; o < out; ++o) {
                std::uint64_t expected = 0;
                for (int i = 0; i < in; ++i) {
                  // Packed words have channels 0 2 1 3 of a quad, and so has the vector.
                  const int swapped = i % 4 == 1 || i % 4 == 2 ? i / 4 * 4 + 3 - i % 4 : i;
                  const auto at = static_cast<std::size_t>(words ? swapped : i);
                  const std::int64_t value = low[at] + (with_high ? std::int64_t{high[at]} << 15 : 0);
                  expected += static_cast<std::uint64_t>(value * weights.values[static_cast<std::size_t>(o * in + i)]);
                }
                REQUIRE(dst[static_cast<std::size_t>(o)] == static_cast<std::int32_t>(expected));
              }
            }
          }
        }
      }
  CHECK(formats.size() == 4);
}

TEST_CASE("kernels: narrow weights of a fully connected layer are packed first where they come from afar") {
  Packing legal[kMaxPackings];
  using Format = Packing::Format;
  REQUIRE(linear_packings(-8, 7, 512 * 1000, legal) == 2);
  CHECK(legal[0].format == Format::kInt4);
  CHECK(legal[1].format == Format::kBytes);
  REQUIRE(linear_packings(-2, 1, 512 * 1000, legal) == 2);
  CHECK(legal[0].format == Format::kInt2);
  REQUIRE(linear_packings(-2, 1, 64 * 10, legal) == 2);
  CHECK(legal[0].format == Format::kBytes);
  REQUIRE(linear_packings(-8, 8, 512 * 1000, legal) == 1);
  CHECK(legal[0].format == Format::kBytes);
  REQUIRE(linear_packings(-255, 255, 512 * 1000, legal) == 1);
  CHECK(legal[0].format == Format::kWords);
}
