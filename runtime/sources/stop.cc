#include "runtime/sources/stop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>

#include "runtime/core/error.h"

namespace bitpilot {

namespace {

std::atomic<Stop*> current_stop{nullptr};
std::atomic<int> received_signal{0};  // any thread may be the one that is interrupted
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<Stop*>::is_always_lock_free, "used by a signal handler");

void on_signal(int number) {
  if (received_signal.exchange(number) != 0) _exit(128 + number);
  const int saved = errno;
  if (Stop* stop = current_stop.load()) stop->request();
  errno = saved;
}

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(number, &action, nullptr);
}

}  // namespace

Stop::Stop() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0)
    throw Error(ExitCode::kMachine, "no file descriptor left", "eventfd", "close other programs or raise `ulimit -n`");
}

Stop::~Stop() { close(fd_); }

void Stop::request() {
  requested_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);  // only fails when it is readable already
}

bool Stop::wait_for(std::chrono::milliseconds duration) const {
  pollfd item{fd_, POLLIN, 0};
  const auto end = std::chrono::steady_clock::now() + duration;
  while (!requested()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    poll(&item, 1, static_cast<int>(left));
  }
  return true;
}

SignalStop::SignalStop(Stop& stop) {
  received_signal = 0;
  current_stop = &stop;
  handle(SIGINT, on_signal);
  handle(SIGTERM, on_signal);
  handle(SIGPIPE, SIG_IGN);
}

SignalStop::~SignalStop() {
  handle(SIGINT, SIG_DFL);
  handle(SIGTERM, SIG_DFL);
  current_stop = nullptr;
}

int SignalStop::received() { return received_signal; }

}  // namespace bitpilot
