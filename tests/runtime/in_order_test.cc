#include "runtime/sinks/in_order.h"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

using bitpilot::InOrder;

TEST_CASE("sinks/in_order: results of many threads come out in the order of their tickets") {
  InOrder order;
  std::vector<int> out;
  std::atomic<int> ticket{0};
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&] {
      for (int number = ticket++; number < 2000; number = ticket++) {
        REQUIRE(order.wait_for_room(static_cast<std::uint64_t>(number)));
        if (number % 7 == 0) std::this_thread::yield();
        order.deliver(static_cast<std::uint64_t>(number), [&out, number] { out.push_back(number); });
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  REQUIRE(out.size() == 2000);
  for (int i = 0; i < 2000; ++i) REQUIRE(out[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("sinks/in_order: nobody runs further ahead than the window, and a failure frees those who wait") {
  InOrder order;
  CHECK(order.wait_for_room(InOrder::kWindow - 1));
  std::atomic<int> state{0};
  std::thread ahead([&] { state = order.wait_for_room(InOrder::kWindow) ? 1 : 2; });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(state == 0);
  CHECK_THROWS(order.deliver(0, [] { throw std::runtime_error("disk full"); }));
  ahead.join();
  CHECK(state == 2);
  int ran = 0;
  order.deliver(1, [&] { ++ran; });
  CHECK(ran == 0);
}
