#pragma once

#include <cstdint>
#include <vector>

namespace bitpilot {

/// A window of a picture as it looks with nobody in it, and what its patch is labelled.
struct Place {
  std::vector<std::uint8_t> background;  ///< grey thumbnail, all of one size
  bool person = false;
};

/// Share of `asked` whose label the five most similar backgrounds of `known` tell: about a half where place says nothing about people.
/// Neither side may hold one window under both labels: such a pair is told right exactly once, whatever place says.
/// Throws Error(kData) if there is nothing to ask or fewer than five are known.
double told_by_background(const std::vector<Place>& known, const std::vector<Place>& asked);

}  // namespace bitpilot
