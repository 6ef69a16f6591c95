#include "tests/support/allocations.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<long> count{0};
std::atomic<std::size_t> held{0}, peak{0};
}  // namespace

// Counting replacements of the global allocator, for the whole test program.  Not inlined: the compiler would see
// malloc meet delete.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++count;
  void* const memory = std::malloc(size != 0 ? size : 1);
  if (memory == nullptr) return nullptr;
  const std::size_t bytes = malloc_usable_size(memory), now = held.fetch_add(bytes) + bytes;
  std::size_t highest = peak.load();
  while (now > highest && !peak.compare_exchange_weak(highest, now)) {
  }
  return memory;
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* const memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  if (memory != nullptr) held -= malloc_usable_size(memory);
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { operator delete(memory); }

namespace bitpilot::testing {

long allocation_count() { return count; }

PeakAllocation::PeakAllocation() : before_(held) { peak = before_; }
std::size_t PeakAllocation::bytes() const { return peak - before_; }

}  // namespace bitpilot::testing
