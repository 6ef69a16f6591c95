#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace bitpilot {

/// A fixed number of threads that split one short piece of work after another; the calling thread is one of them.
/// Workers spin for a moment between pieces, since a layer follows the last one within microseconds, then sleep.
/// Allocates nothing after construction.  One caller at a time.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);  ///< throws Error(kMachine) if the system gives no more threads
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls work(context, part) once for each part 0 .. parts-1, in any order and on any thread; returns when all are
  /// done.
  void run(int parts, void (*work)(const void* context, int part), const void* context);

 private:
  void end();
  void take_parts();
  void serve();

  std::vector<std::thread> workers_;
  void (*work_)(const void*, int) = nullptr;
  const void* context_ = nullptr;
  int parts_ = 0;
  std::atomic<int> next_part_{0};
  std::atomic<int> busy_{0};             ///< workers that have not finished this round
  std::atomic<std::uint32_t> round_{0};  ///< changes when there is work
  std::atomic<bool> stop_{false};
};

}  // namespace bitpilot
