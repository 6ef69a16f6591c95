#include <doctest/doctest.h>

#include <cstring>

#include "runtime/core/files.h"
#include "runtime/core/random.h"
#include "runtime/format/model_file.h"
#include "runtime/policy_head.h"

using namespace bitpilot;

namespace {

/// Everything that the policy says of made-up looks, as one digest.
std::string digest(const ModelData& model) {
  const PolicyHead head(model);
  PolicyScratch scratch;
  std::string all;
  const auto append = [&](const void* data, std::size_t size) { all.append(static_cast<const char*>(data), size); };
  const auto classes = static_cast<std::size_t>(model.network.classes());
  const Shape stem = model.network.layer(0).shape;
  for (std::uint64_t i = 0; i < 400; ++i) {
    Random random(9, "kept policy", i);
    ImageStatistics statistics;
    for (std::size_t s = 0; s < model.ranges.size(); ++s)
      statistics.values[s] = static_cast<float>(random.uniform(model.ranges[s].first, model.ranges[s].second));
    std::vector<std::int32_t> sums;
    for (int c = 0; c < stem.channels; ++c)
      sums.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(stem.height * stem.width) * 255)));
    std::vector<float> scores;
    for (std::size_t c = 0; c < classes; ++c) scores.push_back(static_cast<float>(2 * random.normal()));
    const Observation& observation = head.observe(statistics, sums, scratch);
    append(observation.embedding.data(), observation.embedding.size() * sizeof(float));
    append(&observation.severity, sizeof(float));
    all += observation.out_of_range ? '!' : '.';
    for (const double lambda : {0.01, 0.3, 3.0}) {
      const FirstLook& first = head.first(observation, lambda, scratch);
      const SecondLook& second = head.second(observation, first, scores, lambda, scratch);
      all += std::to_string(first.anchor) + ">" + std::to_string(second.anchor) + "=" + std::to_string(second.label);
      append(&second.confidence, sizeof(float));
      for (const LayerDistribution& d : first.distributions) append(&d, sizeof d);
    }
  }
  return sha256(all);
}

}  // namespace

TEST_CASE("runtime/policy_head: a two-look policy of format 1 opens for ever and decides the same for ever") {
  const std::string path = std::string(BITPILOT_SOURCE_DIR) + "/tests/format/data/version_1_two_look.safetensors";
  REQUIRE(sha256(read_file(path)) == "dc3f3af554a7b2d0a5cc1a29ab87c82570adde69da25aaddad5f891e8ed45de0");  // never edit a kept file
  const ModelData model = read_model(path);
  // Of the first layout: the estimator reads the stem, looks are summarised by six numbers.
  const PolicyParameters parameters = unpack_policy(model);
  CHECK(parameters.feature_mean.size() == kStatisticsCount + static_cast<std::size_t>(model.network.layer(0).shape.channels));
  CHECK(parameters.confidence_mean.size() == 6);
  CHECK(digest(model) == "9f99fd5574369d47b3a047de1d886b3bd95b65e004f1c825875b6ba94052755b");
}
