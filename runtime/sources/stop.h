#pragma once

#include <atomic>
#include <chrono>

namespace bitpilot {

/// One stop request, shared by everything that waits.  Threads poll() its descriptor or ask requested(); it is never
/// taken back.
class Stop {
 public:
  Stop();  ///< throws Error(kMachine) when the system gives no descriptor
  ~Stop();
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  void request();  ///< async-signal-safe
  bool requested() const { return requested_.load(std::memory_order_acquire); }
  int fd() const { return fd_; }  ///< readable for ever once requested
  /// Sleeps; true (at once) when a stop is requested.
  bool wait_for(std::chrono::milliseconds duration) const;

 private:
  std::atomic<bool> requested_{false};
  int fd_ = -1;
};

/// While it lives, the first SIGINT or SIGTERM requests `stop` and a second one ends the process at once with 128 + its
/// number; SIGPIPE is ignored, so that a reader who goes away is an error of write().  One at a time in a process.
class SignalStop {
 public:
  explicit SignalStop(Stop& stop);
  ~SignalStop();
  SignalStop(const SignalStop&) = delete;
  SignalStop& operator=(const SignalStop&) = delete;
  /// Number of the signal that came, 0 if none.
  static int received();
};

}  // namespace bitpilot
