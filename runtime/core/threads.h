#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "runtime/core/error.h"

namespace bitpilot {

/// A new thread that runs `work`.  Throws Error(kMachine) where the system gives none: the caller then has to end and
/// join those that it started before.
template <class Work>
std::thread start_thread(Work&& work) {
  try {
    return std::thread(std::forward<Work>(work));
  } catch (const std::system_error& error) {
    throw Error(ExitCode::kMachine, std::string("no new thread (") + error.code().message() + ")", "threads",
                "use fewer --threads, close other programs or raise `ulimit -u` and `ulimit -v`");
  }
}

}  // namespace bitpilot
