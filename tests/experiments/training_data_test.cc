#include "experiments/training_data.h"

#include <doctest/doctest.h>

#include <set>

using namespace bitpilot;

namespace {

class LabelledSet : public ImageSet {
 public:
  explicit LabelledSet(std::vector<int> labels) : of_(std::move(labels)) {}
  std::string name() const override { return "labelled"; }
  std::size_t size() const override { return of_.size(); }
  Image image(std::size_t) const override { return Image(8, 8, 1); }
  int label(std::size_t index) const override { return of_[index]; }
  const std::vector<std::string>& labels() const override { return names_; }
  std::string source(std::size_t index) const override { return std::to_string(index); }
  std::string hash() const override { return "of " + std::to_string(of_.size()); }

 private:
  std::vector<int> of_;
  std::vector<std::string> names_{"a", "b", "c", "d"};
};

}  // namespace

TEST_CASE("experiments/training_data: the first pictures of a set in folders know every class, and none stands twice") {
  std::vector<int> by_class, mixed;
  for (int i = 0; i < 400; ++i) {
    by_class.push_back(i / 100);
    mixed.push_back(i * 7 % 4);
  }
  const auto folders = std::make_shared<LabelledSet>(by_class);
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
  const auto shuffled = std::make_shared<LabelledSet>(mixed);
  CHECK(first_images(shuffled, 0) == shuffled);
  const auto few = first_images(shuffled, 60);
  for (std::size_t i = 0; i < 60; ++i) CHECK(few->source(i) == std::to_string(i));
}
