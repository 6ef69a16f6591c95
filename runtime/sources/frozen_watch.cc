#include "runtime/sources/frozen_watch.h"

#include <cstring>

namespace bitpilot {

namespace {

/// Four lanes of eight bytes: a picture of 1920 x 1080 takes well under a millisecond.  No defence against an attacker.
std::uint64_t quick_hash(const Image& picture) {
  constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15;
  std::uint64_t lanes[4] = {static_cast<std::uint64_t>(picture.width), static_cast<std::uint64_t>(picture.height),
                            static_cast<std::uint64_t>(picture.channels), 1};
  const std::uint8_t* at = picture.pixels.data();
  std::size_t left = picture.pixels.size();
  const auto mix = [&](std::uint64_t& lane, std::size_t bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, bytes);
    lane = (lane ^ word) * kMultiplier;
    lane ^= lane >> 29;
    at += bytes;
    left -= bytes;
  };
  while (left >= 32)
    for (std::uint64_t& lane : lanes) mix(lane, 8);
  while (left > 0) mix(lanes[left % 4], left < 8 ? left : 8);
  std::uint64_t hash = 0;
  for (const std::uint64_t lane : lanes) hash = (hash ^ lane) * kMultiplier;
  return hash;
}

}  // namespace

FrozenWatch::State FrozenWatch::see(const Image& picture, std::chrono::steady_clock::time_point captured) {
  const std::uint64_t hash = quick_hash(picture);
  if (!seen_ || hash != hash_) {
    const bool was_frozen = frozen_;
    hash_ = hash;
    since_ = captured;
    seen_ = true;
    frozen_ = false;
    return was_frozen ? State::kMovesAgain : State::kMoves;
  }
  if (frozen_) return State::kFrozen;
  if (captured - since_ < after_) return State::kMoves;
  frozen_ = true;
  return State::kFreezes;
}

}  // namespace bitpilot
