#include <doctest/doctest.h>
#include <sys/resource.h>

#include <atomic>

#include "runtime/core/error.h"
#include "runtime/engine/thread_pool.h"

using namespace bitpilot;

TEST_CASE("threads: a pool runs every part once, round after round") {
  ThreadPool pool(4);
  std::atomic<int> sums[64] = {};
  for (int round = 0; round < 200; ++round)
    pool.run(64, [](const void* context, int part) {
      ++(*static_cast<std::atomic<int>(*)[64]>(const_cast<void*>(context)))[part];
    }, &sums);
  for (const std::atomic<int>& sum : sums) CHECK(sum == 200);
}

// The sanitizers end the program themselves where memory for a thread is missing.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("threads: where the system gives no more of them, a pool ends those that it has and says so") {
  rlimit usual{};
  REQUIRE(getrlimit(RLIMIT_AS, &usual) == 0);
  const rlimit nothing{1 << 20, usual.rlim_max};  // no room for another stack
  ExitCode code = ExitCode::kOk;
  REQUIRE(setrlimit(RLIMIT_AS, &nothing) == 0);
  try {
    const ThreadPool pool(64);  // more stacks than the C library keeps from threads that have ended
  } catch (const Error& error) {
    code = error.code;
  }
  REQUIRE(setrlimit(RLIMIT_AS, &usual) == 0);
  CHECK(code == ExitCode::kMachine);
}
#endif
