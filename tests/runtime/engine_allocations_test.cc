#include <doctest/doctest.h>

#include "runtime/engine/engine.h"
#include "tests/support/allocations.h"
#include "tests/support/random_model.h"

using namespace bitpilot;
using bitpilot::testing::allocation_count;
using bitpilot::testing::RandomModel;

TEST_CASE("engine: a warm session allocates nothing for a picture, on anchors and on configurations seen before") {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    RandomModel random(seed);
    Session session(std::make_shared<Model>(random.model()), /*threads=*/seed % 2 == 0 ? 1 : 3);
    const std::vector<std::uint8_t> picture = random.picture();
    const BitConfig other = random.config();
    session.start(picture);
    session.look(other);
    const long before = allocation_count();
    for (int i = 0; i < 3; ++i) {
      session.start(picture);
      for (std::size_t a = 0; a < random.model().anchors.size(); ++a) {
        session.look_anchor(static_cast<int>(a));
        session.look(random.model().anchors[a].config);
      }
      session.look(other);
    }
    CHECK(allocation_count() == before);
  }
  const long before = allocation_count();
  operator delete(operator new(1));
  CHECK(allocation_count() == before + 1);  // the counter counts
}
