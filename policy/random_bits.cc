#include "policy/random_bits.h"

#include <cmath>

#include "runtime/core/random.h"

namespace bitpilot {
namespace {

constexpr double kSteepest = 30;  // of the tilt: nothing but the lowest or the highest rung

std::vector<double> tilted(std::size_t rungs, double tilt) {
  std::vector<double> share;
  double sum = 0;
  for (std::size_t r = 0; r < rungs; ++r) {
    // Counted from the rung that the tilt favours, so that nothing overflows.
    const double from_top = tilt > 0 ? static_cast<double>(r) - static_cast<double>(rungs - 1) : static_cast<double>(r);
    share.push_back(std::exp(tilt * from_top));
    sum += share.back();
  }
  for (double& s : share) s /= sum;
  return share;
}

double mean_cost(const BitSpace& space, const CostTable& cost, double tilt) {
  BitConfig config = uniform_config(space, 8, 8);
  double sum = 0;
  for (std::size_t l = 0; l < config.size(); ++l) {
    const std::vector<int>& ladder = space.layers[l].bits;
    const LayerBits whole = config[l];
    if (space.layers[l].fixed) {
      sum += cost.layer_cost(static_cast<int>(l), config);
      continue;
    }
    const std::vector<double> share = tilted(ladder.size(), tilt);
    for (std::size_t w = 0; w < ladder.size(); ++w) {
      for (std::size_t a = 0; a < ladder.size(); ++a) {
        config[l].weight = ladder[w];
        config[l].activation = ladder[a];
        sum += share[w] * share[a] * cost.layer_cost(static_cast<int>(l), config);
      }
    }
    config[l] = whole;
  }
  return sum / cost.reference();
}

int drawn(const std::vector<int>& ladder, const std::vector<double>& share, Random& random) {
  double left = random.uniform();
  std::size_t rung = 0;
  while (rung + 1 < ladder.size() && left >= share[rung]) left -= share[rung++];
  return ladder[rung];
}

}  // namespace

std::vector<BitConfig> random_bits(const BitSpace& space, const CostTable& cost, double relative, std::size_t count,
                                   std::uint64_t seed) {
  double low = -kSteepest, high = kSteepest;
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (mean_cost(space, cost, middle) > relative ? high : low) = middle;
  }
  std::vector<BitConfig> configs;
  for (std::size_t i = 0; i < count; ++i) {
    Random random(seed, "random bits", i);
    BitConfig config = uniform_config(space, 8, 8);
    for (std::size_t l = 0; l < config.size(); ++l) {
      const std::vector<int>& ladder = space.layers[l].bits;
      if (space.layers[l].fixed) continue;
      const std::vector<double> share = tilted(ladder.size(), low);
      config[l].weight = drawn(ladder, share, random);
      config[l].activation = drawn(ladder, share, random);
    }
    configs.push_back(std::move(config));
  }
  return configs;
}

}  // namespace bitpilot
