#include "experiments/person/background_check.h"

#include <doctest/doctest.h>

#include "runtime/core/error.h"
#include "runtime/core/random.h"

using namespace bitpilot;

namespace {

constexpr int kPlaces = 40, kPixels = 64;

/// Windows of a street: `leak` is the chance that its left half is labelled "person" and its right half is not; 0.5 = place says nothing.
std::vector<Place> street(int windows, double leak, std::uint64_t seed) {
  Random random(seed, "street");
  std::vector<Place> result;
  for (int i = 0; i < windows; ++i) {
    const int at = static_cast<int>(random.below(kPlaces));
    Random look(7, "place", static_cast<std::uint64_t>(at));
    Place place;
    for (int p = 0; p < kPixels; ++p) place.background.push_back(static_cast<std::uint8_t>(look.below(256)));
    place.person = (at < kPlaces / 2) == (random.uniform(0, 1) < leak);
    result.push_back(place);
  }
  return result;
}

}  // namespace

TEST_CASE("person/background_check: finds that place tells who is a person, and finds nothing where it does not") {
  CHECK(told_by_background(street(2000, 0.9, 1), street(400, 0.9, 2)) > 0.8);
  CHECK(told_by_background(street(2000, 0.8, 3), street(400, 0.8, 4)) > 0.65);
  const double chance = told_by_background(street(2000, 0.5, 5), street(400, 0.5, 6));
  CHECK(chance > 0.4);
  CHECK(chance < 0.6);
  CHECK_THROWS_WITH_AS(told_by_background(street(4, 0.5, 7), street(4, 0.5, 8)), doctest::Contains("too few patches"), Error);
  CHECK_THROWS_WITH_AS(told_by_background(street(9, 0.5, 7), {}), doctest::Contains("too few patches"), Error);
}
