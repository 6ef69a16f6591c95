#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "runtime/sources/source.h"

namespace bitpilot {

/// A frame on its way to a worker.  Tickets are numbered 0, 1, 2, … in the order in which they are taken.
struct Ticket {
  std::uint64_t number = 0;
  std::size_t source = 0;
  Frame frame;
};

/// Between the sources' readers and the workers.  A source that is read whole waits while two of its frames wait; a
/// live source keeps the newest frame only and counts those that it replaces.  Workers take from the sources in turn.
/// Thread-safe.
class FrameQueue {
 public:
  /// `live`: one entry a source.  At most `max_frames` tickets are given out (0: no limit).
  FrameQueue(std::vector<bool> live, std::uint64_t max_frames, const Stop& stop);
  /// False once a stop is requested: the frame then counts as received and queued.
  bool push(std::size_t source, Frame&& frame);
  /// No more frames of this source.
  void finish(std::size_t source);
  /// Waits for a frame.  Nothing when all sources have finished and are empty, all tickets are given out or a stop is
  /// requested.
  std::optional<Ticket> take();

  struct Counts {
    std::uint64_t received = 0, taken = 0, queued = 0, dropped = 0;  ///< received = taken + queued + dropped, always
  };
  Counts counts() const;

 private:
  struct Lane {
    bool live = false, finished = false;
    std::deque<Frame> frames;
  };
  std::optional<Ticket> take_locked();
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Lane> lanes_;
  std::uint64_t max_frames_;
  const Stop& stop_;
  Counts counts_;
  std::size_t turn_ = 0;
};

}  // namespace bitpilot
