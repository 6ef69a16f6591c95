#pragma once

#include <functional>

namespace bitpilot {

/// What every main() does: runs `work` and returns its exit code, or tells on standard error what was thrown, in one
/// message, and returns the code that belongs to it.  Results that standard output did not take are a failure too.
int run_program(const char* name, const std::function<int()>& work);

}  // namespace bitpilot
