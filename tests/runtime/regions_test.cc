#include "runtime/commands/regions.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/core/error.h"

using bitpilot::Region;
using bitpilot::tiles_of;

TEST_CASE("commands/regions: tiles cover every pixel of their area, have one size and stay inside") {
  for (const int width : {1, 7, 16, 31, 32, 33})
    for (const int height : {1, 16, 40})
      for (const int tile : {1, 5, 16, 50}) {
        INFO(width, "x", height, " in ", tile);
        const Region area{3, 4, width, height};
        std::vector<int> hits(static_cast<std::size_t>(width * height));
        for (const Region& part : tiles_of(area, {tile, tile})) {
          REQUIRE(part.width == std::min(tile, width));
          REQUIRE(part.height == std::min(tile, height));
          REQUIRE(part.x >= area.x);
          REQUIRE(part.y >= area.y);
          REQUIRE(part.x + part.width <= area.x + width);
          REQUIRE(part.y + part.height <= area.y + height);
          for (int y = part.y; y < part.y + part.height; ++y)
            for (int x = part.x; x < part.x + part.width; ++x)
              ++hits[static_cast<std::size_t>((y - area.y) * width + x - area.x)];
        }
        CHECK(std::count(hits.begin(), hits.end(), 0) == 0);
        // Where the size goes into the area, nothing is judged twice.
        if (width % tile == 0 && height % tile == 0) CHECK(std::count(hits.begin(), hits.end(), 1) == width * height);
      }
}

TEST_CASE("commands/regions: tiles go row by row, each once") {
  const std::vector<Region> tiles = tiles_of({10, 20, 5, 4}, {3, 2});
  CHECK(tiles == std::vector<Region>{{10, 20, 3, 2}, {12, 20, 3, 2}, {10, 22, 3, 2}, {12, 22, 3, 2}});
}

TEST_CASE("commands/regions: --roi and --tile take whole numbers of pixels, all of them and nothing else") {
  CHECK(bitpilot::read_region("1,2,3,4") == Region{1, 2, 3, 4});
  CHECK_FALSE(bitpilot::read_region(""));
  CHECK(bitpilot::read_tile("224,160")->height == 160);
  CHECK_FALSE(bitpilot::read_tile(""));
  for (const char* wrong : {"1,2,3", "1,2,3,4,5", "1,2,3,", ",1,2,3", "1,2,3,4x", "-1,2,3,4", "1,2,0,4", "1, 2,3,4",
                            "1.5,2,3,4", "1,2,3,99999999999"}) {
    INFO(wrong);
    CHECK_THROWS_AS(bitpilot::read_region(wrong), bitpilot::Error);
  }
  for (const char* wrong : {"224", "224,", "0,5", "5,0", "5,-5", "5x5", "5,5,5"}) {
    INFO(wrong);
    CHECK_THROWS_AS(bitpilot::read_tile(wrong), bitpilot::Error);
  }
}
