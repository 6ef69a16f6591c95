#include "data/picture_sums.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "runtime/core/random.h"

using namespace bitpilot;

#if defined(__x86_64__)
namespace {

enum class Fill { kRandom, kEnds, kChessboard, kStripes, kBright, kRamp };
constexpr Fill kFills[] = {Fill::kRandom, Fill::kEnds, Fill::kChessboard, Fill::kStripes, Fill::kBright, Fill::kRamp};

/// `stride` bytes a row; what stands between the rows is random too and must not count.
std::vector<std::uint8_t> pixels_of(int height, int width, int stride, Fill fill, std::uint64_t seed) {
  Random random(seed, "picture sums");
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(height * stride));
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < stride; ++x) {
      const auto any = static_cast<int>(random.below(256));
      int value = any;
      if (x < width && fill == Fill::kEnds) value = any < 128 ? 0 : 255;
      if (x < width && fill == Fill::kChessboard) value = (x + y) % 2 == 0 ? 0 : 255;
      if (x < width && fill == Fill::kStripes) value = (x / 2 + y / 2) % 2 == 0 ? 255 : 0;
      if (x < width && fill == Fill::kBright) value = 255;
      if (x < width && fill == Fill::kRamp) value = (3 * x + 5 * y + any / 64) & 255;
      pixels[static_cast<std::size_t>(y * stride + x)] = static_cast<std::uint8_t>(value);
    }
  return pixels;
}

void check_equal(int height, int width, Fill fill, std::uint64_t seed) {
  const int stride = width + static_cast<int>(seed % 5);
  const std::vector<std::uint8_t> pixels = pixels_of(height, width, stride, fill, seed);
  const ImageView view{pixels.data(), height, width, 1, static_cast<std::size_t>(stride)};
  INFO(height, " x ", width, ", fill ", static_cast<int>(fill), ", seed ", seed);
  const PictureSums expected = picture_sums_portable(view), got = picture_sums_avx2(view);
  CHECK(got.values == expected.values);
  CHECK(got.squares == expected.squares);
  CHECK(got.laplacian_squares == expected.laplacian_squares);
  CHECK(got.isolated == expected.isolated);
  CHECK(got.jumps == expected.jumps);
  CHECK(got.jump_squares == expected.jump_squares);
  CHECK(got.border_jumps == expected.border_jumps);
  CHECK(got.second == expected.second);
  CHECK(got.half_second == expected.half_second);
  CHECK(got.detail == expected.detail);
  CHECK(got.half_detail == expected.half_detail);
}

}  // namespace
#endif

TEST_CASE("data/picture_sums: moments, differences and isolated pixels of a small picture are those counted by hand") {
  // A spike of 200 on 10, well inside.
  std::vector<std::uint8_t> pixels(9 * 10, 10);
  pixels[4 * 10 + 5] = 200;
  const PictureSums sums = picture_sums_portable({pixels.data(), 9, 10, 1, 10});
  CHECK(sums.values == 89 * 10 + 200);
  CHECK(sums.squares == 89 * 100 + 40000);
  CHECK(sums.isolated == 1);
  CHECK(sums.jumps == 4 * 190);
  CHECK(sums.jump_squares == 4 * 190 * 190);
  CHECK(sums.laplacian_squares == (16 + 4) * 190 * 190);
  CHECK(sums.second == (4 + 4 * 2 + 4) * 190);
}

#if defined(__x86_64__)
TEST_CASE("data/picture_sums: the sums of every instruction set are equal on pictures of any size, at the ends too") {
  if (!has_avx2()) return;
  std::uint64_t seed = 1;
  for (const auto& [height, width] : {std::pair{28, 28},
                                      {32, 32},
                                      {8, 8},
                                      {9, 8},
                                      {8, 33},
                                      {31, 64},
                                      {65, 63},
                                      {17, 96},
                                      {1200, 40},
                                      {12, 2048},
                                      {11, 2047}})
    for (const Fill fill : kFills) check_equal(height, width, fill, ++seed);
  Random random(9, "sizes");
  for (int i = 0; i < 300; ++i) {
    const int height = 8 + static_cast<int>(random.below(60)), width = 8 + static_cast<int>(random.below(90));
    check_equal(height, width, kFills[i % 6], ++seed);
  }
}
#endif
