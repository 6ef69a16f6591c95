#pragma once

#include <chrono>
#include <cstdint>

#include "runtime/core/image.h"

namespace bitpilot {

/// Notices a live source that sends the same picture again and again.  Sensors have noise: a camera that works does not
/// repeat itself to the last bit.
class FrozenWatch {
 public:
  enum class State {
    kMoves,
    kFreezes,  ///< the same picture for `after`: told once
    kFrozen,
    kMovesAgain,  ///< told once
  };
  explicit FrozenWatch(std::chrono::milliseconds after) : after_(after) {}
  State see(const Image& picture, std::chrono::steady_clock::time_point captured);
  /// The source begins anew.
  void reset() { seen_ = frozen_ = false; }

 private:
  std::chrono::milliseconds after_;
  std::chrono::steady_clock::time_point since_;
  std::uint64_t hash_ = 0;
  bool seen_ = false, frozen_ = false;
};

}  // namespace bitpilot
