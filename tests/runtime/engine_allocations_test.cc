#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "runtime/engine/engine.h"
#include "tests/support/random_model.h"

using namespace bitpilot;
using bitpilot::testing::RandomModel;

namespace {
std::atomic<long> allocations{0};
}

// Counting replacements of the global allocator, for this whole test program.  Not inlined: the compiler would see
// malloc meet delete.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("engine: a warm session allocates nothing for a picture, on anchors and on configurations seen before") {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    RandomModel random(seed);
    Session session(std::make_shared<Model>(random.model()), /*threads=*/seed % 2 == 0 ? 1 : 3);
    const std::vector<std::uint8_t> picture = random.picture();
    const BitConfig other = random.config();
    session.start(picture);
    session.look(other);
    const long before = allocations;
    for (int i = 0; i < 3; ++i) {
      session.start(picture);
      for (std::size_t a = 0; a < random.model().anchors.size(); ++a) {
        session.look_anchor(static_cast<int>(a));
        session.look(random.model().anchors[a].config);
      }
      session.look(other);
    }
    CHECK(allocations == before);
  }
  const long before = allocations;
  operator delete(operator new(1));
  CHECK(allocations == before + 1);  // the counter counts
}
