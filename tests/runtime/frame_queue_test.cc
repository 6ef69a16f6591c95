#include "runtime/sources/frame_queue.h"

#include <doctest/doctest.h>

#include <thread>

using bitpilot::Frame;
using bitpilot::FrameQueue;
using bitpilot::Stop;

namespace {

Frame numbered(std::uint64_t index) {
  Frame frame;
  frame.index = index;
  return frame;
}

void check_sum(const FrameQueue& queue) {
  const FrameQueue::Counts counts = queue.counts();
  CHECK(counts.received == counts.taken + counts.queued + counts.dropped);
}

}  // namespace

TEST_CASE("sources/frame_queue: a source that is read whole loses nothing, however slow the worker") {
  const Stop stop;
  FrameQueue queue({false}, 0, stop);
  std::thread reader([&] {
    for (std::uint64_t i = 0; i < 100; ++i) queue.push(0, numbered(i));
    queue.finish(0);
  });
  std::uint64_t expected = 0;
  while (auto ticket = queue.take()) {
    CHECK(ticket->frame.index == expected);
    CHECK(ticket->number == expected++);
    if (expected % 25 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    check_sum(queue);
  }
  reader.join();
  CHECK(expected == 100);
  CHECK(queue.counts().dropped == 0);
}

TEST_CASE("sources/frame_queue: a live source keeps its newest frame and counts the others") {
  const Stop stop;
  FrameQueue queue({true}, 0, stop);
  for (std::uint64_t i = 0; i < 5; ++i) CHECK(queue.push(0, numbered(i)));
  const auto ticket = queue.take();
  REQUIRE(ticket);
  CHECK(ticket->frame.index == 4);
  CHECK(ticket->frame.dropped_before == 4);
  CHECK(queue.counts().dropped == 4);
  check_sum(queue);
  queue.push(0, numbered(5));
  CHECK(queue.take()->frame.dropped_before == 0);
}

TEST_CASE("sources/frame_queue: sources are served in turn") {
  const Stop stop;
  FrameQueue queue({false, false}, 0, stop);
  for (std::uint64_t i = 0; i < 2; ++i) {
    queue.push(0, numbered(i));
    queue.push(1, numbered(i));
  }
  CHECK(queue.take()->source != queue.take()->source);
  CHECK(queue.take()->source != queue.take()->source);
}

TEST_CASE("sources/frame_queue: max_frames and a stop end the work, and every frame is still accounted for") {
  Stop stop;
  FrameQueue limited({false}, 1, stop);
  limited.push(0, numbered(0));
  limited.push(0, numbered(1));
  CHECK(limited.take());
  CHECK_FALSE(limited.take());
  CHECK(limited.counts().queued == 1);
  check_sum(limited);
  FrameQueue stopped({false}, 0, stop);
  stopped.push(0, numbered(0));
  stop.request();
  CHECK_FALSE(stopped.take());
  CHECK_FALSE(stopped.push(0, numbered(1)));
  CHECK(stopped.counts().queued == 2);
  check_sum(stopped);
}
