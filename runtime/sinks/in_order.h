#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

namespace bitpilot {

/// Brings the results of several workers back into the order of their tickets.  Thread-safe.
class InOrder {
 public:
  /// Tickets that may be under way at one time; also the lag of what is learned from earlier results, whatever the
  /// number of threads.
  static constexpr std::uint64_t kWindow = 32;

  /// Waits until ticket `number` - kWindow has been delivered.  False after abandon().
  bool wait_for_room(std::uint64_t number);
  /// Runs `action` once all tickets before `number` have been delivered: at once, or later on another worker's thread.
  /// Actions run one at a time.  An action that throws abandons the rest; the exception comes out of the deliver() that
  /// ran it.
  void deliver(std::uint64_t number, std::function<void()> action);
  /// A worker has failed: nothing more will be delivered.
  void abandon();

 private:
  std::mutex mutex_;
  std::condition_variable delivered_;
  std::map<std::uint64_t, std::function<void()>> waiting_;
  std::uint64_t next_ = 0;
  bool abandoned_ = false;
};

}  // namespace bitpilot
