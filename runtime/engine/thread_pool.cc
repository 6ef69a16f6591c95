#include "runtime/engine/thread_pool.h"

#include "runtime/core/threads.h"

namespace bitpilot {
namespace {

/// Looks at the round counter before a worker sleeps: some tens of microseconds.
constexpr int kSpins = 4000;

void pause_a_little() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  try {
    for (int t = 1; t < threads; ++t) workers_.push_back(start_thread([this] { serve(); }));
  } catch (...) {
    end();
    throw;
  }
}

ThreadPool::~ThreadPool() { end(); }

void ThreadPool::end() {
  stop_ = true;
  round_.fetch_add(1);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::take_parts() {
  for (int part = next_part_.fetch_add(1); part < parts_; part = next_part_.fetch_add(1)) work_(context_, part);
}

void ThreadPool::serve() {
  std::uint32_t seen = 0;
  while (true) {
    for (int spin = 0; spin < kSpins && round_.load() == seen; ++spin) pause_a_little();
    round_.wait(seen);
    seen = round_.load();
    if (stop_) return;
    take_parts();
    if (busy_.fetch_sub(1) == 1) busy_.notify_one();
  }
}

void ThreadPool::run(int parts, void (*work)(const void*, int), const void* context) {
  if (workers_.empty() || parts == 1) {
    for (int part = 0; part < parts; ++part) work(context, part);
    return;
  }
  work_ = work;
  context_ = context;
  parts_ = parts;
  next_part_ = 0;
  busy_ = static_cast<int>(workers_.size());
  round_.fetch_add(1);
  round_.notify_all();
  take_parts();
  // Every worker passes through each round, so none of them can meet the next round's fields half written.
  for (int spin = 0; spin < kSpins && busy_.load() != 0; ++spin) pause_a_little();
  for (int left = busy_.load(); left != 0; left = busy_.load()) busy_.wait(left);
}

}  // namespace bitpilot
