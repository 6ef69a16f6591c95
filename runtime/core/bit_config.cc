#include <algorithm>
#include <cmath>

#include "runtime/core/error.h"
#include "runtime/core/network.h"

namespace bitpilot {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ExitCode::kData, what, where,
              "give every layer 2..8 bits and 1.. all of its filter blocks, fixed layers 8/8 and whole");
}

std::string text(const LayerBits& bits, const LayerSpace& space) {
  std::string result = std::to_string(bits.weight) + "/" + std::to_string(bits.activation);
  if (bits.active_blocks != space.blocks) result += "x" + std::to_string(bits.active_blocks);
  return result;
}

}  // namespace

BitSpace make_bit_space(const Network& network, const std::vector<int>& bits, int block) {
  if (block != 8 && block != 16) refuse("a filter block of " + std::to_string(block) + " (8 or 16)", network.name);
  std::vector<int> candidates = bits;
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  if (candidates.empty() || candidates.front() < 2 || candidates.back() > 8)
    refuse("candidate bit-widths outside 2..8", network.name);
  BitSpace space;
  space.block = block;
  for (int l = 0; l < network.layer_count(); ++l) {
    LayerSpace layer;
    layer.fixed = network.fixed(l);
    if (!layer.fixed) layer.bits = candidates;
    layer.blocks = (network.layer(l).shape.channels + block - 1) / block;
    space.layers.push_back(std::move(layer));
  }
  return space;
}

BitConfig uniform_config(const BitSpace& space, int weight_bits, int activation_bits, double width) {
  if (!(width > 0 && width <= 1))
    refuse("width " + std::to_string(width) + " is outside (0, 1]", "uniform configuration");
  BitConfig config;
  for (const LayerSpace& layer : space.layers) {
    if (layer.fixed) {
      config.push_back({8, 8, layer.blocks});
    } else {
      // The small term keeps 0.1 * 10 at one block although the product is above 1 in binary.
      const int blocks = static_cast<int>(std::ceil(width * layer.blocks - 1e-9));
      config.push_back({weight_bits, activation_bits, std::clamp(blocks, 1, layer.blocks)});
    }
  }
  return config;
}

void check_config(const Network& network, const BitSpace& space, const BitConfig& config) {
  const auto layers = static_cast<std::size_t>(network.layer_count());
  if (space.layers.size() != layers || config.size() != layers)
    refuse("a configuration of " + std::to_string(config.size()) + " layers for a network of " + std::to_string(layers),
           network.name);
  std::vector<int> group_blocks(layers, 0);
  for (std::size_t l = 0; l < layers; ++l) {
    const LayerBits& bits = config[l];
    const LayerSpace& limits = space.layers[l];
    const std::string& where = network.layer(static_cast<int>(l)).name;
    if (bits.weight < 2 || bits.weight > 8 || bits.activation < 2 || bits.activation > 8)
      refuse("bits outside 2..8", where);
    if (bits.active_blocks < 1 || bits.active_blocks > limits.blocks)
      refuse(std::to_string(bits.active_blocks) + " active blocks of " + std::to_string(limits.blocks), where);
    if (limits.fixed) {
      if (bits != LayerBits{8, 8, limits.blocks}) refuse("a fixed layer is not 8/8 and whole", where);
      continue;
    }
    int& blocks = group_blocks[static_cast<std::size_t>(network.width_groups()[l])];
    if (blocks != 0 && blocks != bits.active_blocks)
      refuse("layers that share their filters have unequal active blocks", where);
    blocks = bits.active_blocks;
  }
}

std::string to_string(const BitConfig& config, const BitSpace& space) {
  std::string all, first;
  bool uniform = true;
  for (std::size_t l = 0; l < config.size() && l < space.layers.size(); ++l) {
    if (space.layers[l].fixed) continue;
    const std::string one = text(config[l], space.layers[l]);
    if (all.empty()) first = one;
    uniform = uniform && one == first && config[l].active_blocks == space.layers[l].blocks;
    all += (all.empty() ? "" : " ") + one;
  }
  return uniform ? first : all;
}

}  // namespace bitpilot
