#include <algorithm>
#include <map>

#include "data/image_set.h"
#include "runtime/core/error.h"
#include "runtime/core/random.h"

namespace bitpilot {
namespace {

constexpr std::size_t kMostHeldBack = 5000;  // pictures in the policy and in the validation split
constexpr std::size_t kFew = 2000;

enum Part : std::uint8_t { kTrain, kPolicy, kValidation, kTest };

/// Part of every distinct source: ordered by a hash of its name, the first go to test (unless the set has its own),
/// policy, validation.
std::map<std::string, Part> assign(const ImageSet& pool, bool own_test) {
  std::vector<std::pair<std::uint64_t, std::string>> order;
  std::map<std::string, Part> parts;
  for (std::size_t i = 0; i < pool.size(); ++i) {
    std::string source = pool.source(i);
    if (!parts.emplace(source, kTrain).second) continue;
    const std::uint64_t key = Random(0, "split/" + source).next();
    order.emplace_back(key, std::move(source));
  }
  std::sort(order.begin(), order.end());
  std::size_t next = 0;
  const auto take = [&](std::size_t count, Part part) {
    for (const std::size_t end = next + count; next < end; ++next) parts[order[next].second] = part;
  };
  take(own_test ? 0 : order.size() / 10, kTest);
  const std::size_t held_back = std::min((order.size() - next) / 10, kMostHeldBack);
  take(held_back, kPolicy);
  take(held_back, kValidation);
  return parts;
}

}  // namespace

DataSplits split_data(const std::string& name, std::shared_ptr<const ImageSet> pool,
                      std::shared_ptr<const ImageSet> test) {
  const std::map<std::string, Part> parts = assign(*pool, test != nullptr);
  std::vector<std::size_t> indices[4];
  for (std::size_t i = 0; i < pool->size(); ++i) indices[parts.at(pool->source(i))].push_back(i);
  DataSplits splits;
  splits.name = name;
  const auto part = [&](Part p, const char* suffix, SubsetKeys keyed) {
    return std::make_shared<SubsetImageSet>(pool, std::move(indices[p]), name + "/" + suffix, keyed);
  };
  splits.train = part(kTrain, "train", SubsetKeys::kOwn);
  splits.policy = part(kPolicy, "policy", SubsetKeys::kOwn);
  splits.validation = part(kValidation, "validation", SubsetKeys::kOwn);
  splits.test = test != nullptr ? std::move(test) : part(kTest, "test", SubsetKeys::kBase);
  std::size_t degraded = 0;
  for (std::size_t i = 0; i < pool->size(); ++i) degraded += pool->severity(i) > 0 ? 1 : 0;
  if (degraded > 0)
    splits.warnings.push_back(std::to_string(degraded) + " of " + std::to_string(pool->size()) + " pictures of " + name +
                              " are degraded copies already, and training degrades them again: give the folder that "
                              "they were made from");
  const std::pair<const char*, const ImageSet*> all[] = {{"train", splits.train.get()},
                                                         {"policy", splits.policy.get()},
                                                         {"validation", splits.validation.get()},
                                                         {"test", splits.test.get()}};
  for (const auto& [split, set] : all) {
    if (set->size() == 0)
      throw Error(ExitCode::kData,
                  std::to_string(pool->size()) + " pictures are too few: the " + split + " split is empty", name,
                  "give at least 20 pictures; thousands are needed to learn anything");
    if (set->size() < kFew)
      splits.warnings.push_back("the " + std::string(split) + " split of " + name + " has only " +
                                std::to_string(set->size()) + " images, fewer than " + std::to_string(kFew) +
                                ": figures from it are rough");
  }
  return splits;
}

}  // namespace bitpilot
