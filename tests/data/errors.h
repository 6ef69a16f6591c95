#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "runtime/core/error.h"

namespace bitpilot::testing {

/// `action` must throw an Error with this exit code whose message holds every one of `pieces`.
inline void check_error(ExitCode code, const std::vector<std::string>& pieces, const std::function<void()>& action) {
  try {
    action();
    FAIL_CHECK("no error, wanted one that says: " << pieces.front());
  } catch (const Error& error) {
    CHECK(error.code == code);
    for (const std::string& piece : pieces) {
      INFO("message: " << std::string(error.what()) << "\nwanted: " << piece);
      CHECK(std::string(error.what()).find(piece) != std::string::npos);
    }
  }
}

}  // namespace bitpilot::testing
