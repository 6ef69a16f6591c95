#include "runtime/core/random.h"

#include <doctest/doctest.h>

#include <set>

using bitpilot::Random;

TEST_CASE("core/random: a stream depends on seed, purpose and index, and on nothing else") {
  Random a(1, "train", 7), b(1, "train", 7);
  for (int i = 0; i < 10; ++i) CHECK(a.next() == b.next());
  std::set<std::uint64_t> first;
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    for (const char* purpose : {"train", "policy", ""})
      for (std::uint64_t index = 0; index < 20; ++index) first.insert(Random(seed, purpose, index).next());
  CHECK(first.size() == 20 * 3 * 20);
}

TEST_CASE("core/random: the streams never change: files and checkpoints depend on them") {
  Random random(42, "golden", 3);
  CHECK(random.next() == 0x31be26ce3f437ad3ULL);
  CHECK(random.next() == 0xd5738228d12bc481ULL);
}

TEST_CASE("core/random: uniform and normal numbers have their moments") {
  Random random(5, "moments");
  constexpr int kCount = 20000;
  double sum = 0, square = 0, uniform = 0;
  for (int i = 0; i < kCount; ++i) {
    const double z = random.normal();
    sum += z;
    square += z * z;
    const double u = random.uniform();
    CHECK((u >= 0 && u < 1));
    uniform += u;
  }
  CHECK(sum / kCount == doctest::Approx(0).epsilon(0.03).scale(1));  // 4 standard errors
  CHECK(square / kCount == doctest::Approx(1).epsilon(0.04));
  CHECK(uniform / kCount == doctest::Approx(0.5).epsilon(0.02));
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 500; ++i) seen.insert(random.below(7));
  CHECK(seen.size() == 7);
  CHECK(*seen.rbegin() == 6);
}
