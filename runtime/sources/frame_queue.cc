#include "runtime/sources/frame_queue.h"

#include <algorithm>

namespace bitpilot {

namespace {

constexpr std::size_t kWaiting = 2;                    // frames of a source that is read whole
constexpr std::chrono::milliseconds kLookForStop{50};  // a stop wakes no condition variable

}  // namespace

FrameQueue::FrameQueue(std::vector<bool> live, std::uint64_t max_frames, const Stop& stop)
    : lanes_(live.size()), max_frames_(max_frames), stop_(stop) {
  for (std::size_t i = 0; i < live.size(); ++i) lanes_[i].live = live[i];
}

bool FrameQueue::push(std::size_t source, Frame&& frame) {
  std::unique_lock lock(mutex_);
  Lane& lane = lanes_[source];
  ++counts_.received;
  ++counts_.queued;
  if (lane.live) {
    if (!lane.frames.empty()) {
      frame.dropped_before += lane.frames.front().dropped_before + 1;
      lane.frames.pop_front();
      --counts_.queued;
      ++counts_.dropped;
    }
  } else {
    while (lane.frames.size() >= kWaiting && !stop_.requested()) changed_.wait_for(lock, kLookForStop);
  }
  lane.frames.push_back(std::move(frame));
  changed_.notify_all();
  return !stop_.requested();
}

void FrameQueue::finish(std::size_t source) {
  const std::lock_guard lock(mutex_);
  lanes_[source].finished = true;
  changed_.notify_all();
}

std::optional<Ticket> FrameQueue::take_locked() {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const std::size_t source = (turn_ + i) % lanes_.size();
    Lane& lane = lanes_[source];
    if (lane.frames.empty()) continue;
    Ticket ticket{counts_.taken++, source, std::move(lane.frames.front())};
    lane.frames.pop_front();
    --counts_.queued;
    turn_ = source + 1;
    changed_.notify_all();
    return ticket;
  }
  return std::nullopt;
}

std::optional<Ticket> FrameQueue::take() {
  std::unique_lock lock(mutex_);
  while (!stop_.requested()) {
    if (max_frames_ != 0 && counts_.taken == max_frames_) return std::nullopt;
    if (std::optional<Ticket> ticket = take_locked()) return ticket;
    if (std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.finished; })) return std::nullopt;
    changed_.wait_for(lock, kLookForStop);
  }
  return std::nullopt;
}

FrameQueue::Counts FrameQueue::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace bitpilot
