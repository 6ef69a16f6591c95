#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/core/image.h"

namespace bitpilot {

/// Part of a picture, in pixels.
struct Region {
  int x = 0, y = 0, width = 0, height = 0;
  bool operator==(const Region&) const = default;
};
struct TileSize {
  int width = 0, height = 0;
};

/// A picture that falls into more tiles ends the run: its records would be larger than itself.
inline constexpr int kMaxTiles = 4096;

/// Reads --roi x,y,width,height; nothing where the text is empty.  Throws Error(kUsage).
std::optional<Region> read_region(const std::string& text);
/// Reads --tile width,height; nothing where the text is empty.  Throws Error(kUsage).
std::optional<TileSize> read_tile(const std::string& text);

/// The part of `region` that lies in the picture; nothing where there is none.
std::optional<Region> inside(const Region& region, int width, int height);
/// Tiles that cover `area`, row by row from its top left corner.  The last ones of a row and of a column are moved back
/// so that all have one size; an area smaller than a tile is one tile.  Throws Error(kUsage) above kMaxTiles.
std::vector<Region> tiles_of(const Region& area, const TileSize& size);
/// That part as a picture; `region` must lie inside.
ImageView part_of(const ImageView& picture, const Region& region);

}  // namespace bitpilot
