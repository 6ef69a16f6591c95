#include "policy/budget_configs.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr int kMoves = 2000;
constexpr int kDrawsPerConfig = 100;

std::vector<std::size_t> adaptive_layers(const BitSpace& space) {
  std::vector<std::size_t> layers;
  for (std::size_t l = 0; l < space.layers.size(); ++l)
    if (!space.layers[l].fixed) layers.push_back(l);
  return layers;
}

}  // namespace

std::vector<int> offered(const DrawSpace& from, std::size_t layer, bool weights) {
  std::vector<int> bits = from.space.layers[layer].bits;
  if (from.least.empty()) return bits;
  const int least = weights ? from.least[layer].weight : from.least[layer].activation;
  std::erase_if(bits, [&](int b) { return b < least; });
  return bits;
}

namespace {

/// Every adaptive layer at what `choose` makes of its offered weight and activation bits, at the width of `from`.
template <typename Choose>
BitConfig configured(const DrawSpace& from, const Choose& choose) {
  BitConfig config = uniform_config(from.space, 8, 8);
  for (std::size_t l = 0; l < from.blocks.size(); ++l) config[l].active_blocks = from.blocks[l];
  for (const std::size_t l : adaptive_layers(from.space)) choose(l, offered(from, l, true), offered(from, l, false), config);
  return config;
}

}  // namespace

BitConfig highest_config(const DrawSpace& from) {
  return configured(from, [](std::size_t l, const std::vector<int>& weights, const std::vector<int>& activations, BitConfig& config) {
    config[l].weight = weights.back();
    config[l].activation = activations.back();
  });
}

BitConfig lowest_config(const DrawSpace& from) {
  return configured(from, [](std::size_t l, const std::vector<int>& weights, const std::vector<int>& activations, BitConfig& config) {
    config[l].weight = weights.front();
    config[l].activation = activations.front();
  });
}

BitConfig cheapest_config(const DrawSpace& from) {
  return configured(from, [&](std::size_t l, const std::vector<int>& weights, const std::vector<int>& activations, BitConfig& config) {
    LayerBits best = config[l];
    double least = -1;
    for (const int weight : weights)
      for (const int activation : activations) {
        config[l].weight = weight;
        config[l].activation = activation;
        const double cost = from.cost.layer_cost(static_cast<int>(l), config);
        if (least >= 0 && cost >= least) continue;
        least = cost;
        best = config[l];
      }
    config[l] = best;
  });
}

std::string at_least(double cost) {
  const double unit = std::pow(10.0, std::floor(std::log10(cost)) - 3);
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", std::ceil(cost / unit) * unit);
  return text;
}

void check_budget(const DrawSpace& from, double budget) {
  const double least = from.relative(cheapest_config(from));
  if (least <= budget) return;
  throw Error(ExitCode::kUsage, "no configuration costs as little as " + std::to_string(budget), "relative budget",
              "give at least " + at_least(least));
}

BitConfig uniform_draw(const DrawSpace& from, Random& random) {
  return configured(from, [&](std::size_t l, const std::vector<int>& weights, const std::vector<int>& activations, BitConfig& config) {
    config[l].weight = weights[random.below(weights.size())];
    config[l].activation = activations[random.below(activations.size())];
  });
}

bool move_to_budget(const DrawSpace& from, double budget, double tolerance, Random& random, BitConfig& config) {
  const std::vector<std::size_t> layers = adaptive_layers(from.space);
  for (int move = 0; move < kMoves; ++move) {
    const double relative = from.relative(config);
    if (relative <= budget && relative >= (1 - tolerance) * budget) return true;
    const std::size_t l = layers[random.below(layers.size())];
    const bool weights = random.below(2) == 0;
    int& now = weights ? config[l].weight : config[l].activation;
    const std::vector<int> bits = offered(from, l, weights);
    const auto at = std::lower_bound(bits.begin(), bits.end(), now) - bits.begin() + (relative > budget ? -1 : 1);
    if (at >= 0 && at < std::ssize(bits)) now = bits[static_cast<std::size_t>(at)];
  }
  return false;
}

std::vector<BitConfig> random_configs_at(const DrawSpace& from, double budget, double tolerance, int count, std::uint64_t seed) {
  std::vector<BitConfig> configs;
  for (int draw = 0; std::ssize(configs) < count; ++draw) {
    if (draw == count * kDrawsPerConfig)
      throw Error(ExitCode::kUsage, "there are not " + std::to_string(count) + " different configurations at this cost",
                  "relative cost " + std::to_string(budget), "give another budget");
    Random random(seed, "configuration at a cost", static_cast<std::uint64_t>(draw));
    BitConfig config = uniform_draw(from, random);
    if (!move_to_budget(from, budget, tolerance, random, config)) continue;
    if (std::find(configs.begin(), configs.end(), config) == configs.end()) configs.push_back(std::move(config));
  }
  return configs;
}

std::vector<BitConfig> spread_configs(const DrawSpace& from, int count, std::uint64_t seed) {
  constexpr double kNear = 0.05;  // of the wanted cost; what does not get there stays where it is
  const double low = from.relative(cheapest_config(from));
  std::vector<BitConfig> configs;
  for (int i = 0; i < count; ++i) {
    Random random(seed, "configurations of all costs", static_cast<std::uint64_t>(i));
    BitConfig config = uniform_draw(from, random);
    move_to_budget(from, std::pow(low, random.uniform()), kNear, random, config);
    configs.push_back(std::move(config));
  }
  return configs;
}

}  // namespace bitpilot
