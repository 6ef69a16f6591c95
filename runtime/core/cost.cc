#include "runtime/core/cost.h"

#include <algorithm>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr int kLowestBits = 2, kHighestBits = 8, kWidths = kHighestBits - kLowestBits + 1;

std::size_t at_index(int value) { return static_cast<std::size_t>(value); }

/// Fills every entry with per_layer(layer, weight bits, activation bits) * active out / out.
template <typename PerLayer>
void fill(CostTable& table, const Network& network, const BitSpace& space, const PerLayer& per_layer) {
  for (int l = 0; l < network.layer_count(); ++l) {
    const int out = network.layer(l).shape.channels;
    for (int w = kLowestBits; w <= kHighestBits; ++w)
      for (int a = kLowestBits; a <= kHighestBits; ++a)
        for (int blocks = 1; blocks <= space.layers[at_index(l)].blocks; ++blocks)
          table.at(l, w, a, blocks) = per_layer(l, w, a) * std::min(out, blocks * space.block) / out;
  }
}

}  // namespace

CostTable::CostTable(std::string unit, const Network& network, const BitSpace& space)
    : unit_(std::move(unit)), space_(space) {
  const bool known = unit_ == "bops" || unit_ == "bytes" || unit_ == "ms";
  if (!known || static_cast<int>(space.layers.size()) != network.layer_count())
    throw Error(ExitCode::kBug, "a cost table of unit \"" + unit_ + "\" for a space of another network", network.name,
                "report this");
  const std::vector<int>& groups = network.width_groups();
  for (int l = 0; l < network.layer_count(); ++l) {
    entries_.emplace_back(at_index(2 * kWidths * kWidths * space.layers[at_index(l)].blocks), 0.0);
    Input input{-1, network.in_channels(l)};
    const int source = network.depthwise(l) ? -1 : network.channel_source(network.layer(l).inputs[0]);
    // A fixed stem is narrow to its readers if an adaptive layer shares its filters.
    for (int other = 0; source >= 0 && other < network.layer_count(); ++other)
      if (groups[at_index(other)] == groups[at_index(source)] && !network.fixed(other)) input.speaks = other;
    inputs_.push_back(input);
  }
}

std::size_t CostTable::index(int layer, int weight_bits, int activation_bits, int blocks) const {
  const bool fits = layer >= 0 && at_index(layer) < entries_.size() && weight_bits >= kLowestBits &&
                    weight_bits <= kHighestBits && activation_bits >= kLowestBits && activation_bits <= kHighestBits &&
                    blocks >= 1 && blocks <= space_.layers[at_index(layer)].blocks;
  if (!fits)
    throw Error(ExitCode::kBug, "a cost that is not in the table",
                "layer " + std::to_string(layer) + ", " + std::to_string(weight_bits) + "/" +
                    std::to_string(activation_bits) + ", " + std::to_string(blocks) + " blocks",
                "report this");
  return at_index(((blocks - 1) * kWidths + weight_bits - kLowestBits) * kWidths + activation_bits - kLowestBits);
}

double& CostTable::at(int layer, int weight_bits, int activation_bits, int blocks) {
  const std::size_t entry = index(layer, weight_bits, activation_bits, blocks);
  return entries_[at_index(layer)][entry];
}

double CostTable::at(int layer, int weight_bits, int activation_bits, int blocks) const {
  const std::size_t entry = index(layer, weight_bits, activation_bits, blocks);
  return entries_[at_index(layer)][entry];
}

double& CostTable::fixed_part(int layer, int weight_bits, int activation_bits, int blocks) {
  const std::size_t entry = index(layer, weight_bits, activation_bits, blocks);
  return entries_[at_index(layer)][entries_[at_index(layer)].size() / 2 + entry];
}

double CostTable::fixed_part(int layer, int weight_bits, int activation_bits, int blocks) const {
  const std::size_t entry = index(layer, weight_bits, activation_bits, blocks);
  return entries_[at_index(layer)][entries_[at_index(layer)].size() / 2 + entry];
}

double CostTable::layer_cost(int layer, const BitConfig& config) const {
  const LayerBits& bits = config[at_index(layer)];
  const double full = at(layer, bits.weight, bits.activation, bits.active_blocks);
  const Input& input = inputs_[at_index(layer)];
  if (input.speaks < 0) return full;
  const double fixed = fixed_part(layer, bits.weight, bits.activation, bits.active_blocks);
  const int active = std::min(input.channels, config[at_index(input.speaks)].active_blocks * space_.block);
  return fixed + (full - fixed) * active / input.channels;
}

double CostTable::cost(const BitConfig& config) const {
  if (config.size() != entries_.size())
    throw Error(ExitCode::kBug, "the cost of a configuration of another network", unit_ + " table", "report this");
  double total = 0;
  for (std::size_t l = 0; l < config.size(); ++l) total += layer_cost(static_cast<int>(l), config);
  return total;
}

double CostTable::stem_cost() const { return at(0, 8, 8, space_.layers.front().blocks); }

double CostTable::reference() const {
  double total = 0;
  for (std::size_t l = 0; l < entries_.size(); ++l) total += at(static_cast<int>(l), 8, 8, space_.layers[l].blocks);
  return total;
}

CostTable bops_table(const Network& network, const BitSpace& space) {
  CostTable table("bops", network, space);
  fill(table, network, space, [&](int l, int w, int a) { return static_cast<double>(network.macs(l)) * w * a; });
  return table;
}

CostTable bytes_table(const Network& network, const BitSpace& space) {
  CostTable table("bytes", network, space);
  fill(table, network, space, [&](int l, int w, int) { return static_cast<double>(network.weight_count(l)) * w / 8; });
  return table;
}

double float_bops(const Network& network) { return static_cast<double>(network.macs()) * 32 * 32; }

}  // namespace bitpilot
