#include "runtime/commands/regions.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "runtime/core/error.h"

namespace bitpilot {

namespace {

/// N whole numbers with commas between them; nothing if the text is anything else.
template <std::size_t N>
std::optional<std::array<int, N>> numbers(const std::string& text) {
  std::array<int, N> values{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < N; ++i) {
    const auto [next, error] = std::from_chars(at, end, values[i]);
    if (error != std::errc() || (i + 1 < N ? next == end || *next != ',' : next != end)) return std::nullopt;
    at = next + 1;
  }
  return values;
}

/// Where the tiles of one row or column begin.
std::vector<int> beginnings(int begin, int length, int tile) {
  const std::int64_t count = (std::int64_t{length} + tile - 1) / tile;
  if (count > kMaxTiles) return std::vector<int>(kMaxTiles + 1, begin);
  std::vector<int> places;
  for (std::int64_t i = 0; i < count; ++i)
    places.push_back(begin + static_cast<int>(std::min<std::int64_t>(i * tile, std::max(0, length - tile))));
  return places;
}

}  // namespace

std::optional<Region> read_region(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto values = numbers<4>(text);
  if (!values || (*values)[0] < 0 || (*values)[1] < 0 || (*values)[2] < 1 || (*values)[3] < 1)
    throw Error(ExitCode::kUsage, "--roi takes x,y,width,height in pixels, not \"" + text + "\"", "bitpilot run",
                "give --roi 100,50,640,480, say");
  return Region{(*values)[0], (*values)[1], (*values)[2], (*values)[3]};
}

std::optional<TileSize> read_tile(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto values = numbers<2>(text);
  if (!values || (*values)[0] < 1 || (*values)[1] < 1)
    throw Error(ExitCode::kUsage, "--tile takes width,height in pixels, not \"" + text + "\"", "bitpilot run",
                "give --tile 224,224, say");
  return TileSize{(*values)[0], (*values)[1]};
}

std::optional<Region> inside(const Region& region, int width, int height) {
  // In 64 bits: x + width may pass an int.
  const std::int64_t left = std::max(region.x, 0),
                     right = std::min<std::int64_t>(std::int64_t{region.x} + region.width, width);
  const std::int64_t top = std::max(region.y, 0),
                     bottom = std::min<std::int64_t>(std::int64_t{region.y} + region.height, height);
  if (right <= left || bottom <= top) return std::nullopt;
  return Region{static_cast<int>(left), static_cast<int>(top), static_cast<int>(right - left),
                static_cast<int>(bottom - top)};
}

std::vector<Region> tiles_of(const Region& area, const TileSize& size) {
  const std::vector<int> columns = beginnings(area.x, area.width, size.width),
                         rows = beginnings(area.y, area.height, size.height);
  if (columns.size() * rows.size() > kMaxTiles)
    throw Error(ExitCode::kUsage,
                "a picture of " + std::to_string(area.width) + "x" + std::to_string(area.height) +
                    " falls into more than " + std::to_string(kMaxTiles) + " tiles",
                "--tile", "give larger tiles");
  std::vector<Region> tiles;
  for (const int y : rows)
    for (const int x : columns)
      tiles.push_back({x, y, std::min(size.width, area.width), std::min(size.height, area.height)});
  return tiles;
}

ImageView part_of(const ImageView& picture, const Region& region) {
  ImageView part = picture;
  part.pixels = picture.row(region.y) + static_cast<std::size_t>(region.x) * static_cast<std::size_t>(picture.channels);
  part.width = region.width;
  part.height = region.height;
  return part;
}

}  // namespace bitpilot
