#include "experiments/training_data.h"

#include <doctest/doctest.h>

#include <set>

using namespace bitpilot;

namespace {

std::shared_ptr<const ImageSet> labelled(std::vector<int> labels) {
  auto set = std::make_shared<MemoryImageSet>();
  set->set_name = "labelled";
  set->label_names = {"a", "b", "c", "d"};
  set->images.assign(labels.size(), Image(8, 8, 1));
  for (std::size_t i = 0; i < labels.size(); ++i) set->sources.push_back(std::to_string(i));
  set->image_labels = std::move(labels);
  return set;
}

}  // namespace

TEST_CASE("experiments/training_data: the first pictures of a set in folders know every class, and none stands twice") {
  std::vector<int> by_class, mixed;
  for (int i = 0; i < 400; ++i) {
    by_class.push_back(i / 100);
    mixed.push_back(i * 7 % 4);
  }
  const auto folders = labelled(by_class);
  for (const std::size_t count : {std::size_t{0}, std::size_t{400}, std::size_t{60}}) {
    const auto first = first_images(folders, count);
    REQUIRE(first->size() == (count == 0 ? 400 : count));
    std::set<int> classes;
    std::set<std::string> sources;
    for (std::size_t i = 0; i < first->size(); ++i) {
      if (i < 40) classes.insert(first->label(i));
      sources.insert(first->source(i));
    }
    CHECK(classes.size() == 4);
    CHECK(sources.size() == first->size());
  }
  const auto shuffled = labelled(mixed);
  CHECK(first_images(shuffled, 0) == shuffled);
  const auto few = first_images(shuffled, 60);
  for (std::size_t i = 0; i < 60; ++i) CHECK(few->source(i) == std::to_string(i));
}
