#include "runtime/sources/frozen_watch.h"

#include <doctest/doctest.h>

using bitpilot::FrozenWatch;
using bitpilot::Image;
using State = bitpilot::FrozenWatch::State;

namespace {

const std::chrono::steady_clock::time_point kStart{std::chrono::hours(1)};

std::chrono::steady_clock::time_point at(int ms) { return kStart + std::chrono::milliseconds(ms); }

Image picture(int height, int width, std::uint8_t value) {
  Image image(height, width, 1);
  std::fill(image.pixels.begin(), image.pixels.end(), value);
  return image;
}

}  // namespace

TEST_CASE("sources/frozen_watch: the same picture for long enough is told once, the first other one too") {
  FrozenWatch watch(std::chrono::milliseconds(500));
  const Image still = picture(9, 7, 50);
  CHECK(watch.see(still, at(0)) == State::kMoves);
  CHECK(watch.see(still, at(499)) == State::kMoves);
  CHECK(watch.see(still, at(500)) == State::kFreezes);
  CHECK(watch.see(still, at(900)) == State::kFrozen);
  CHECK(watch.see(picture(9, 7, 51), at(901)) == State::kMovesAgain);
  CHECK(watch.see(picture(9, 7, 52), at(902)) == State::kMoves);
  CHECK(watch.see(still, at(2000)) == State::kMoves);  // seen long ago, but not for long
}

TEST_CASE("sources/frozen_watch: a stream that begins anew is not frozen, and time alone freezes nothing") {
  FrozenWatch watch(std::chrono::milliseconds(100));
  const Image still = picture(3, 3, 1);
  watch.see(still, at(0));
  CHECK(watch.see(still, at(200)) == State::kFreezes);
  watch.reset();
  CHECK(watch.see(still, at(300)) == State::kMoves);
  CHECK(watch.see(still, at(390)) == State::kMoves);
  CHECK(watch.see(picture(3, 3, 2), at(5000)) == State::kMoves);
}

TEST_CASE("sources/frozen_watch: one bit of one pixel anywhere moves it, and so does another shape") {
  for (const int width : {1, 8, 31, 32, 33, 67}) {
    const Image still = picture(3, width, 200);
    for (std::size_t i = 0; i < still.pixels.size(); ++i) {
      FrozenWatch watch(std::chrono::milliseconds(0));
      Image other = still;
      other.pixels[i] ^= 1;
      watch.see(still, at(0));
      INFO(width, " wide, pixel ", i);
      REQUIRE(watch.see(still, at(1)) == State::kFreezes);
      REQUIRE(watch.see(other, at(2)) == State::kMovesAgain);
    }
  }
  FrozenWatch watch(std::chrono::milliseconds(0));
  watch.see(picture(2, 8, 5), at(0));
  CHECK(watch.see(picture(8, 2, 5), at(1)) == State::kMoves);
}
