#include "data/preprocess.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/preprocessor.h"
#include "data/resize.h"
#include "tests/data/errors.h"
#include "tests/data/pictures.h"

namespace bitpilot {
namespace {

using testing::check_error;
using testing::flat_picture;
using testing::made_up_picture;
using testing::noise_picture;

/// The area mean of one destination pixel in doubles, straight from the definition.
double area_mean(const Image& src, int height, int width, int y, int x, int c) {
  const double y0 = static_cast<double>(y) * src.height / height, y1 = static_cast<double>(y + 1) * src.height / height;
  const double x0 = static_cast<double>(x) * src.width / width, x1 = static_cast<double>(x + 1) * src.width / width;
  double sum = 0;
  for (int sy = 0; sy < src.height; ++sy)
    for (int sx = 0; sx < src.width; ++sx) {
      const double high = std::min<double>(sy + 1, y1) - std::max<double>(sy, y0),
                   wide = std::min<double>(sx + 1, x1) - std::max<double>(sx, x0);
      if (high > 0 && wide > 0)
        sum += high * wide * src.pixels[static_cast<std::size_t>((sy * src.width + sx) * src.channels + c)];
    }
  return sum / ((y1 - y0) * (x1 - x0));
}

/// Linear interpolation between pixel centres, edge replicated, in doubles.
double linear_value(const Image& src, int height, int width, int y, int x, int c) {
  const auto at = [&](int sy, int sx) {
    return static_cast<double>(src.pixels[static_cast<std::size_t>(
        (std::clamp(sy, 0, src.height - 1) * src.width + std::clamp(sx, 0, src.width - 1)) * src.channels + c)]);
  };
  const double from_y = (y + 0.5) * src.height / height - 0.5, from_x = (x + 0.5) * src.width / width - 0.5;
  const int y0 = static_cast<int>(std::floor(from_y)), x0 = static_cast<int>(std::floor(from_x));
  const double fy = from_y - y0, fx = from_x - x0;
  return (1 - fy) * ((1 - fx) * at(y0, x0) + fx * at(y0, x0 + 1)) +
         fy * ((1 - fx) * at(y0 + 1, x0) + fx * at(y0 + 1, x0 + 1));
}

void check_resize(int from_height, int from_width, int to_height, int to_width,
                  double (*wanted)(const Image&, int, int, int, int, int)) {
  for (const int channels : {1, 3}) {
    const Image src = noise_picture(from_height, from_width, channels, 5);
    const Image dst = resize(src.view(), to_height, to_width);
    REQUIRE(dst.pixels.size() == static_cast<std::size_t>(to_height * to_width * channels));
    double worst = 0;
    std::size_t i = 0;
    for (int y = 0; y < to_height; ++y)
      for (int x = 0; x < to_width; ++x)
        for (int c = 0; c < channels; ++c)
          worst = std::max(worst, std::abs(dst.pixels[i++] - wanted(src, to_height, to_width, y, x, c)));
    CHECK(worst <= 0.5 + 1e-9);  // one rounding
  }
}

TEST_CASE("data/resize: shrinking gives the area mean, rounded once") {
  check_resize(64, 64, 28, 28, area_mean);
  check_resize(33, 57, 28, 31, area_mean);
  check_resize(100, 29, 9, 8, area_mean);
  check_resize(2600, 9, 9, 8, area_mean);  // more rows for one than 16 bits can add up
  check_resize(3001, 11, 2, 11, area_mean);
}

TEST_CASE("data/resize: growing interpolates linearly between pixel centres, rounded once") {
  check_resize(20, 20, 28, 28, linear_value);
  check_resize(1, 3, 8, 32, linear_value);
}

TEST_CASE("data/resize: each axis follows its own rule, and an equal size changes nothing") {
  const Image src = made_up_picture(40, 20, 1, 1);
  const Image dst = resize(src.view(), 28, 28);  // shrinks down, grows across
  const Image down = resize(src.view(), 28, 20), across = resize(src.view(), 40, 28);
  CHECK(down.height == 28);
  CHECK(across.width == 28);
  CHECK(resize(src.view(), 40, 20) == src);
  CHECK(resize(flat_picture(40, 20, 3, 77).view(), 28, 28) == flat_picture(28, 28, 3, 77));
  CHECK(dst.pixels.size() == 28 * 28);
}

TEST_CASE("data/resize: luma on the way gives the bytes of luma first") {
  for (const auto& [height, width] : {std::pair{28, 28}, {9, 40}, {80, 80}, {1, 1}}) {
    const Image src = noise_picture(61, 47, 3, 5);
    CHECK(resize_luma(src.view(), height, width) == resize(luma(src.view()).view(), height, width));
    CHECK(resize_luma(luma(src.view()).view(), height, width) == resize(luma(src.view()).view(), height, width));
  }
}

TEST_CASE("data/resize: luma of an equal triple is its value and follows BT.601 within one level") {
  for (int value = 0; value < 256; ++value)
    CHECK(luma(flat_picture(1, 1, 3, static_cast<std::uint8_t>(value)).view()).pixels[0] == value);
  const Image src = noise_picture(16, 16, 3, 2), gray = luma(src.view());
  for (std::size_t p = 0; p < 256; ++p) {
    const double wanted = 0.114 * src.pixels[3 * p] + 0.587 * src.pixels[3 * p + 1] + 0.299 * src.pixels[3 * p + 2];
    CHECK(std::abs(gray.pixels[p] - wanted) < 0.51);
  }
}

TEST_CASE("data/preprocess: the 2nd and 98th percentile become 0 and 255, and what lies between keeps its order") {
  Image src(10, 10, 1);
  for (std::size_t i = 0; i < 100; ++i)
    src.pixels[i] = static_cast<std::uint8_t>(50 + i);  // ranks 2 and 97 are 52 and 147
  const Prepared prepared = preprocess(src.view(), {1, 10, 10});
  for (std::size_t i = 0; i < 100; ++i) {
    const int wanted = std::clamp(static_cast<int>(std::floor((static_cast<int>(i) - 2) * 255.0 / 95 + 0.5)), 0, 255);
    CHECK(prepared.codes[i] == wanted);
  }
  CHECK(prepared.statistics.values[7] == 95.0F);
}

TEST_CASE("data/preprocess: a flat picture, or stretch off, passes unchanged") {
  Image src = flat_picture(28, 28, 1, 100);
  for (std::size_t i = 0; i < 400; ++i) src.pixels[i] = 107;
  CHECK(preprocess(src.view(), {1, 28, 28}).codes == src.pixels);  // range 7
  for (std::size_t i = 0; i < 400; ++i) src.pixels[i] = 108;
  const std::vector<std::uint8_t> stretched = preprocess(src.view(), {1, 28, 28}).codes;
  CHECK(stretched.front() == 255);
  CHECK(stretched.back() == 0);
  CHECK(preprocess(src.view(), {1, 28, 28}, /*stretch=*/false).codes == src.pixels);
}

TEST_CASE("data/preprocess: statistics are those of the luma at network size before stretching") {
  const Image src = made_up_picture(60, 44, 3, 4);
  const Image gray = resize(luma(src.view()).view(), 28, 28);
  const Prepared with = preprocess(src.view(), {1, 28, 28}), without = preprocess(src.view(), {1, 28, 28}, false);
  CHECK(with.statistics.values == image_statistics(gray.view()).values);
  CHECK(without.statistics.values == with.statistics.values);
  CHECK(without.codes == gray.pixels);
  for (const bool stretch : {true, false}) {
    const Prepared taken = preprocess(src.view(), {1, 28, 28}, stretch), not_taken = preprocess(src.view(), {1, 28, 28}, stretch, /*statistics=*/false);
    CHECK(not_taken.codes == taken.codes);
    for (const float value : not_taken.statistics.values) CHECK(std::isnan(value));
  }
}

TEST_CASE("data/preprocess: a colour net gets a gray picture three times, and one table for all channels") {
  const Image gray = made_up_picture(40, 40, 1, 3);
  const std::vector<std::uint8_t> one = preprocess(gray.view(), {1, 28, 28}).codes,
                                  three = preprocess(gray.view(), {3, 28, 28}).codes;
  REQUIRE(three.size() == 3 * one.size());
  for (std::size_t p = 0; p < one.size(); ++p)
    for (std::size_t c = 0; c < 3; ++c) CHECK(three[3 * p + c] == one[p]);
  const Image colour = made_up_picture(28, 28, 3, 3);
  PixelRange range;
  image_statistics(luma(colour.view()).view(), &range);
  const std::vector<std::uint8_t> codes = preprocess(colour.view(), {3, 28, 28}).codes;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const double wanted = std::clamp(255.0 * (colour.pixels[i] - range.low) / (range.high - range.low), 0.0, 255.0);
    CHECK(std::abs(codes[i] - wanted) <= 0.5 + 1e-9);
  }
}

TEST_CASE("data/preprocess: rows with padding behind them are read by their stride") {
  const Image src = made_up_picture(28, 40, 1, 9);
  Image cut(28, 28, 1);
  for (std::size_t y = 0; y < 28; ++y)
    std::copy_n(src.pixels.begin() + static_cast<std::ptrdiff_t>(40 * y), 28,
                cut.pixels.begin() + static_cast<std::ptrdiff_t>(28 * y));
  ImageView view = src.view();
  view.width = 28;
  CHECK(preprocess(view, {1, 28, 28}).codes == preprocess(cut.view(), {1, 28, 28}).codes);
  CHECK(preprocess(view, {1, 20, 20}).codes == preprocess(cut.view(), {1, 20, 20}).codes);
}

TEST_CASE("data/preprocess: memory that held other pictures changes nothing") {
  Preprocessor preprocessor;
  Prepared prepared;
  std::uint64_t seed = 0;
  for (const auto& [height, width] : {std::pair{61, 47}, {28, 28}, {9, 40}, {200, 30}, {20, 20}, {28, 28}})
    for (const int channels : {3, 1})
      for (const Shape& input : {Shape{1, 28, 28}, Shape{3, 28, 28}, Shape{1, 9, 33}})
        for (const bool statistics : {true, false}) {
          INFO(height, " x ", width, " x ", channels, " to ", input.height, " x ", input.width, " x ", input.channels);
          const Image picture = noise_picture(height, width, channels, ++seed);
          const bool stretch = seed % 3 != 0;
          preprocessor.prepare(picture.view(), input, stretch, statistics, prepared);
          const Prepared alone = preprocess(picture.view(), input, stretch, statistics);
          CHECK(prepared.codes == alone.codes);
          CHECK(std::memcmp(prepared.statistics.values.data(), alone.statistics.values.data(), sizeof(alone.statistics.values)) == 0);
        }
}

TEST_CASE("data/preprocess: an empty picture or one of two channels is refused") {
  check_error(ExitCode::kData, {"empty picture"}, [] { preprocess(Image().view(), {1, 28, 28}); });
  check_error(ExitCode::kData, {"2 channels", "gray"}, [] {
    preprocess(flat_picture(28, 28, 2, 0).view(), {1, 28, 28});
  });
}

}  // namespace
}  // namespace bitpilot
