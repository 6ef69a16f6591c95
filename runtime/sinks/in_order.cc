#include "runtime/sinks/in_order.h"

namespace bitpilot {

bool InOrder::wait_for_room(std::uint64_t number) {
  std::unique_lock lock(mutex_);
  delivered_.wait(lock, [&] { return abandoned_ || next_ + kWindow > number; });
  return !abandoned_;
}

void InOrder::deliver(std::uint64_t number, std::function<void()> action) {
  const std::lock_guard lock(mutex_);
  if (abandoned_) return;
  waiting_.emplace(number, std::move(action));
  while (!waiting_.empty() && waiting_.begin()->first == next_) {
    const std::function<void()> first = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    ++next_;
    try {
      first();
    } catch (...) {
      abandoned_ = true;
      delivered_.notify_all();
      throw;
    }
  }
  delivered_.notify_all();
}

void InOrder::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  delivered_.notify_all();
}

}  // namespace bitpilot
