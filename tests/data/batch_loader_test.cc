#include "data/batch_loader.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "tests/data/errors.h"
#include "tests/data/pictures.h"

namespace bitpilot {
namespace {

constexpr Shape kInput{1, 28, 28};

std::shared_ptr<MemoryImageSet> small_set(int count) {
  auto set = std::make_shared<MemoryImageSet>();
  set->set_name = "small";
  for (int label = 0; label < 3; ++label) set->label_names.push_back(std::to_string(label));
  for (int i = 0; i < count; ++i) {
    set->images.push_back(testing::made_up_picture(28, 28, 1, static_cast<std::uint64_t>(i)));
    set->image_labels.push_back(i % 3);
  }
  return set;
}

bool same(const Sample& a, const Sample& b) {
  return a.prepared.codes == b.prepared.codes && a.prepared.statistics.values == b.prepared.statistics.values &&
         a.label == b.label && a.index == b.index && a.family == b.family && a.severity == b.severity;
}

std::vector<Sample> read_epoch(BatchLoader& loader, std::uint64_t epoch, std::size_t batch, std::size_t position = 0) {
  std::vector<Sample> all;
  loader.start(epoch, batch, position);
  for (std::vector<Sample> samples = loader.next(); !samples.empty(); samples = loader.next())
    for (Sample& sample : samples) all.push_back(std::move(sample));
  return all;
}

bool equal(const std::vector<Sample>& a, const std::vector<Sample>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

TEST_CASE(
    "data/batch_loader: order and bytes are the same for 1 and 3 threads, for any batch, and from the middle of an "
    "epoch") {
  const auto set = small_set(101);
  LoaderOptions options;
  options.seed = 5;
  BatchLoader one(set, standard_mixture(), kInput, true, options);
  options.threads = 3;
  BatchLoader three(set, standard_mixture(), kInput, true, options);
  const std::vector<Sample> epoch = read_epoch(one, 2, 16);
  REQUIRE(epoch.size() == 101);
  CHECK(equal(epoch, read_epoch(three, 2, 16)));
  CHECK(equal(epoch, read_epoch(three, 2, 7)));
  const std::vector<Sample> rest = read_epoch(three, 2, 16, 48);
  REQUIRE(rest.size() == 53);
  CHECK(std::equal(rest.begin(), rest.end(), epoch.begin() + 48, same));
}

TEST_CASE("data/batch_loader: a sample is what make_sample gives for its epoch and index") {
  const auto set = small_set(40);
  LoaderOptions options;
  options.seed = 9;
  options.purpose = "policy";
  BatchLoader loader(set, standard_mixture(), kInput, true, options);
  for (const Sample& sample : read_epoch(loader, 3, 8))
    CHECK(same(sample, make_sample(*set, sample.index, 3, standard_mixture(), kInput, true, options)));
}

TEST_CASE("data/batch_loader: a picture's draws follow its key: in another order they are the same") {
  const auto set = small_set(30);
  std::vector<std::size_t> backwards(set->size());
  for (std::size_t i = 0; i < backwards.size(); ++i) backwards[i] = set->size() - 1 - i;
  const SubsetImageSet turned(set, backwards, "turned", SubsetKeys::kBase), own(set, backwards, "own", SubsetKeys::kOwn);
  const LoaderOptions options;
  int others = 0;
  for (const std::uint64_t epoch : {0, 3}) {
    for (std::size_t i = 0; i < backwards.size(); ++i) {
      const auto sample = [&](const ImageSet& from, std::size_t index) {
        return make_sample(from, index, epoch, standard_mixture(), kInput, true, options);
      };
      const Sample there = sample(*set, backwards[i]);
      CHECK(sample(turned, i).prepared.codes == there.prepared.codes);
      CHECK(sample(turned, i).family == there.family);
      others += sample(own, i).prepared.codes != there.prepared.codes ? 1 : 0;
    }
  }
  CHECK(others > 30);  // of 60: keyed by their place they meet other draws
}

TEST_CASE(
    "data/batch_loader: an epoch holds every picture once, in another order each time; without shuffling in the set's "
    "order") {
  const auto set = small_set(60);
  LoaderOptions options;
  BatchLoader loader(set, standard_mixture(), kInput, true, options);
  std::vector<std::vector<std::size_t>> orders;
  for (const std::uint64_t epoch : {0, 1}) {
    std::vector<std::size_t> order;
    for (const Sample& sample : read_epoch(loader, epoch, 8)) {
      order.push_back(sample.index);
      CHECK(sample.label == static_cast<int>(sample.index % 3));
    }
    CHECK(std::set<std::size_t>(order.begin(), order.end()).size() == 60);
    orders.push_back(std::move(order));
  }
  CHECK(orders[0] != orders[1]);
  CHECK_FALSE(std::is_sorted(orders[0].begin(), orders[0].end()));
  options.shuffle = false;
  BatchLoader plain(set, standard_mixture(), kInput, true, options);
  const std::vector<Sample> epoch = read_epoch(plain, 0, 8);
  for (std::size_t i = 0; i < epoch.size(); ++i) CHECK(epoch[i].index == i);
}

TEST_CASE(
    "data/batch_loader: degradations are drawn anew each epoch, from the asked families, and are off when asked") {
  const auto set = small_set(300);
  LoaderOptions options;
  const auto families = [&](std::uint64_t epoch) {
    BatchLoader loader(set, standard_mixture(), kInput, true, options);
    std::vector<std::string> names;
    for (const Sample& sample : read_epoch(loader, epoch, 50)) {
      names.push_back(sample.family + std::to_string(sample.severity));
      const std::vector<std::string>& group = options.held_out ? standard_mixture().held_out : standard_mixture().seen;
      CHECK((sample.family == "clean" || std::find(group.begin(), group.end(), sample.family) != group.end()));
    }
    return names;
  };
  options.shuffle = false;
  CHECK(families(0) != families(1));
  options.held_out = true;
  const std::vector<std::string> held = families(0);
  CHECK(std::set<std::string>(held.begin(), held.end()).size() > 10);
  options.degrade = false;
  for (const std::string& name : families(0)) CHECK(name == "clean0");
}

TEST_CASE("data/batch_loader: augmentation flips and shifts by at most two pixels, and is off when asked") {
  auto set = std::make_shared<MemoryImageSet>(*small_set(1));
  Image& image = set->images[0];
  image = testing::flat_picture(28, 28, 1, 50);
  image.pixels[14 * 28 + 5] = 250;  // the mirror of column 5 is column 22
  LoaderOptions options;
  options.degrade = false;
  std::set<std::pair<int, int>> places;
  for (std::uint64_t epoch = 0; epoch < 400; ++epoch) {
    const std::vector<std::uint8_t> codes =
        make_sample(*set, 0, epoch, standard_mixture(), kInput, false, options).prepared.codes;
    const auto at = static_cast<int>(std::max_element(codes.begin(), codes.end()) - codes.begin());
    places.insert({at / 28, at % 28});
  }
  CHECK(places.size() == 50);  // 5 x 5 shifts, flipped or not
  for (const auto& [y, x] : places) {
    CHECK(std::abs(y - 14) <= 2);
    CHECK((std::abs(x - 5) <= 2 || std::abs(x - 22) <= 2));
  }
  options.augment = false;
  CHECK(make_sample(*set, 0, 1, standard_mixture(), kInput, false, options).prepared.codes == image.pixels);
}

TEST_CASE(
    "data/batch_loader: a restart in the middle of an epoch and a destructor with batches under way leave nothing "
    "behind") {
  const auto set = small_set(500);
  LoaderOptions options;
  options.threads = 3;
  BatchLoader loader(set, standard_mixture(), kInput, true, options);
  const std::vector<Sample> wanted = read_epoch(loader, 1, 10);
  for (int round = 0; round < 20; ++round) {
    loader.start(static_cast<std::uint64_t>(round) + 2, 10);
    loader.next();
    CHECK(equal(read_epoch(loader, 1, 10), wanted));  // batches of the abandoned epoch are still being made
    BatchLoader abandoned(set, standard_mixture(), kInput, true, options);
    abandoned.start(0, 4);
    if (round % 2 == 0) abandoned.next();
  }
}

TEST_CASE("data/batch_loader: a picture that fails to load is an error of next(), not of another thread") {
  class Broken : public MemoryImageSet {
   public:
    Image image(std::size_t i) const override {
      if (i == 13) throw Error(ExitCode::kData, "the picture cannot be read", "picture 13", "mend it");
      return MemoryImageSet::image(i);
    }
  };
  auto set = std::make_shared<Broken>();
  static_cast<MemoryImageSet&>(*set) = *small_set(40);
  LoaderOptions options;
  options.shuffle = false;
  options.threads = 2;
  BatchLoader loader(set, standard_mixture(), kInput, true, options);
  loader.start(0, 10);
  CHECK(loader.next().size() == 10);
  testing::check_error(ExitCode::kData, {"picture 13"}, [&] { loader.next(); });
  CHECK(loader.next().size() == 10);  // the next batch is whole again
}

TEST_CASE("data/batch_loader: what a degraded set says of its pictures reaches the sample") {
  auto set = small_set(2);
  set->families = {"jpeg", "clean"};
  set->severities = {4, 0};
  LoaderOptions options;
  options.degrade = false;
  const Sample sample = make_sample(*set, 0, 0, standard_mixture(), kInput, true, options);
  CHECK(sample.family == "jpeg");
  CHECK(sample.severity == 4);
}

}  // namespace
}  // namespace bitpilot
