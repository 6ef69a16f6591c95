#pragma once

#include <cstddef>

namespace bitpilot::testing {

/// What operator new was asked for, in test programs that link allocations.cc.
long allocation_count();

/// The most memory that was held at once since this was made, beyond what was held then.
class PeakAllocation {
 public:
  PeakAllocation();
  std::size_t bytes() const;

 private:
  std::size_t before_;
};

}  // namespace bitpilot::testing
