#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "data/image_set.h"
#include "tests/data/errors.h"
#include "tests/data/pictures.h"

namespace bitpilot {
namespace {

/// `copies` degraded copies of each of `count` sources, in a shuffled order.
std::shared_ptr<MemoryImageSet> copies_of(int count, int copies) {
  auto set = std::make_shared<MemoryImageSet>();
  set->set_name = "copies";
  set->label_names = {"only"};
  for (int copy = 0; copy < copies; ++copy)
    for (int i = 0; i < count; ++i) {
      set->images.push_back(testing::flat_picture(8, 8, 1, static_cast<std::uint8_t>(copy)));
      set->image_labels.push_back(0);
      set->sources.push_back("source " + std::to_string(i * 7 % count));
    }
  return set;
}

std::set<std::string> sources(const ImageSet& set) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < set.size(); ++i) names.insert(set.source(i));
  return names;
}

void check_disjoint(const DataSplits& splits, std::size_t all) {
  const std::set<std::string> parts[] = {sources(*splits.train), sources(*splits.policy), sources(*splits.validation),
                                         sources(*splits.test)};
  std::set<std::string> together;
  std::size_t sum = 0;
  for (const std::set<std::string>& part : parts) {
    together.insert(part.begin(), part.end());
    sum += part.size();
  }
  CHECK(together.size() == sum);
  CHECK(together.size() == all);
}

TEST_CASE("data/splits: copies of one source never stand in two splits") {
  const auto set = copies_of(200, 4);
  const DataSplits splits = split_data("copies", set, nullptr);
  check_disjoint(splits, 200);
  CHECK(splits.train->size() + splits.policy->size() + splits.validation->size() + splits.test->size() == 800);
  CHECK(splits.test->size() == 80);  // a tenth of the sources, all their copies
  CHECK(splits.policy->size() == 72);
  CHECK(splits.validation->size() == 72);
  CHECK(splits.warnings.size() == 4);
  CHECK(splits.warnings[0].find("fewer than 2000") != std::string::npos);
}

TEST_CASE("data/splits: pictures that are degraded copies already are told of") {
  const auto set = copies_of(2000, 10);
  CHECK(split_data("copies", set, nullptr).warnings.size() == 2);  // policy and validation are small
  set->severities.assign(set->size(), 0);
  set->families.assign(set->size(), "clean");
  CHECK(split_data("copies", set, nullptr).warnings.size() == 2);
  set->severities[3] = set->severities[17] = 5;
  const DataSplits splits = split_data("copies", set, nullptr);
  REQUIRE(splits.warnings.size() == 3);
  CHECK(splits.warnings[0].find("2 of 20000 pictures") != std::string::npos);
}

TEST_CASE("data/splits: Fashion-MNIST gives 50,000 / 5,000 / 5,000 / 10,000 pictures, none twice, without a warning") {
  const DataSplits splits = open_splits("fashion-mnist", nullptr);
  CHECK(splits.train->size() == 50000);
  CHECK(splits.policy->size() == 5000);
  CHECK(splits.validation->size() == 5000);
  CHECK(splits.test->size() == 10000);
  check_disjoint(splits, 70000);
  CHECK(splits.warnings.empty());
  CHECK(splits.test->labels()[9] == "ankle boot");
  CHECK(splits.test->label(0) == 9);
  CHECK(splits.train->source(0).starts_with("train-images-idx3-ubyte#"));
  int counts[10] = {};
  for (std::size_t i = 0; i < splits.validation->size(); ++i) ++counts[splits.validation->label(i)];
  for (const int count : counts) CHECK(count == doctest::Approx(500).epsilon(0.2));
}

TEST_CASE("data/splits: which split a source is in depends on its name, not on its place, and is kept") {
  const auto set = copies_of(300, 1);
  auto reversed = std::make_shared<MemoryImageSet>(*set);
  std::reverse(reversed->sources.begin(), reversed->sources.end());
  const DataSplits a = split_data("a", set, nullptr), b = split_data("b", reversed, nullptr);
  CHECK(sources(*a.test) == sources(*b.test));
  CHECK(sources(*a.policy) == sources(*b.policy));
  // Kept from the first version: another hash would move pictures from training to validation behind a kept model's
  // back.
  std::string first;
  for (std::size_t i = 0; i < 5; ++i) first += a.test->source(i) + ",";
  CHECK(first == "source 0,source 14,source 168,source 175,source 280,");
}

TEST_CASE("data/splits: a set's own test part stays whole, and every other split is within the rest") {
  auto test = std::make_shared<MemoryImageSet>(*copies_of(5, 1));
  test->sources = {"t0", "t1", "t2", "t3", "t4"};
  const DataSplits splits = split_data("own", copies_of(100, 1), test);
  CHECK(splits.test->size() == 5);
  CHECK(splits.policy->size() == 10);
  check_disjoint(splits, 105);
}

TEST_CASE("data/splits: too few pictures for four splits are refused") {
  testing::check_error(ExitCode::kData, {"9 pictures are too few", "tiny"},
                       [] { split_data("tiny", copies_of(9, 1), nullptr); });
}

TEST_CASE("data/splits: a set's hash tells other pixels, labels and picks apart") {
  const auto set = copies_of(50, 1);
  const std::string hash = set->hash();
  CHECK(hash.starts_with("sha256:"));
  CHECK(set->hash() == hash);
  set->images[49].pixels[63] ^= 1;
  CHECK(set->hash() != hash);
  set->images[49].pixels[63] ^= 1;
  set->image_labels[0] = 1;
  CHECK(set->hash() != hash);
  set->image_labels[0] = 0;
  const auto hash_of = [&](std::vector<std::size_t> indices) {
    return SubsetImageSet(set, std::move(indices), "x", SubsetKeys::kOwn).hash();
  };
  CHECK(hash_of({1, 2}) != hash_of({2, 1}));
}

TEST_CASE("data/splits: a test part cut from the pool keeps the pool's keys; the other splits count from 0") {
  const auto set = copies_of(200, 1);
  const DataSplits splits = split_data("keys", set, nullptr);
  for (std::size_t i = 0; i < splits.test->size(); ++i)
    CHECK(set->source(splits.test->key(i)) == splits.test->source(i));
  CHECK(splits.test->keys() > splits.test->size());
  for (const auto& split : {splits.train, splits.policy, splits.validation}) {
    for (std::size_t i = 0; i < split->size(); ++i) CHECK(split->key(i) == i);
    CHECK(split->keys() == split->size());
  }
  const SubsetImageSet again(splits.test, {3, 0}, "again", SubsetKeys::kBase);
  CHECK(again.key(0) == splits.test->key(3));
  CHECK(again.key(1) == splits.test->key(0));
  CHECK(again.keys() == splits.test->key(3) + 1);
}

}  // namespace
}  // namespace bitpilot
