#include "runtime/engine/weight_store.h"

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/core/integer.h"

namespace bitpilot {
namespace {

/// [out][1][rows][columns] read as [out][columns][rows]: the pixels of a row become channels.
EffectiveWeights rows_to_channels(const EffectiveWeights& weights, int kernel) {
  EffectiveWeights turned = weights;
  turned.in = kernel;
  turned.taps = kernel;
  const auto k = static_cast<std::size_t>(kernel);
  for (std::size_t o = 0; o < static_cast<std::size_t>(weights.out); ++o)
    for (std::size_t row = 0; row < k; ++row)
      for (std::size_t column = 0; column < k; ++column)
        turned.values[(o * k + column) * k + row] = weights.values[(o * k + row) * k + column];
  return turned;
}

}  // namespace

WeightStore::WeightStore(const ModelData& model, const Kernels& kernels, bool row_as_channels, KernelChoice choice)
    : model_(model), kernels_(kernels), row_as_channels_(row_as_channels), choice_(std::move(choice)) {}

EffectiveWeights WeightStore::effective(int layer, int weight_bits) const {
  const Node& node = model_.network.layer(layer);
  EffectiveWeights weights;
  weights.out = node.shape.channels;
  weights.depthwise = node.groups > 1;
  weights.in = model_.network.in_channels(layer) / node.groups;
  weights.taps = node.kernel * node.kernel;
  const LayerWeights& stored = model_.weights[static_cast<std::size_t>(layer)];
  const integer::NarrowWeight narrow(stored.form.symmetry, stored.stored_bits, weight_bits, stored.zero_point);
  const std::array<std::int8_t, 256> codes = narrow.all_codes();
  weights.values.reserve(stored.codes.size());
  for (const std::int8_t code : stored.codes)
    weights.values.push_back(
        static_cast<std::int16_t>(narrow.form().g * codes[static_cast<std::uint8_t>(code)] + narrow.form().h));
  return layer == 0 && row_as_channels_ ? rows_to_channels(weights, node.kernel) : weights;
}

WeightStore::Range WeightStore::range(int layer, int weight_bits) {
  const std::pair key{layer, weight_bits};
  const auto found = ranges_.find(key);
  if (found != ranges_.end()) return found->second;
  const EffectiveWeights weights = effective(layer, weight_bits);
  return ranges_.emplace(key, Range{weights.lowest(), weights.highest()}).first->second;
}

std::vector<Packing> WeightStore::legal(int layer, const LayerBits& bits) {
  const Node& node = model_.network.layer(layer);
  const auto [lowest, highest] = range(layer, bits.weight);
  Packing list[kMaxPackings];
  if (node.op == Op::kLinear) return {list, list + linear_packings(lowest, highest, model_.network.weight_count(layer), list)};
  ConvShape shape;
  shape.depthwise = node.groups > 1;
  shape.lowest = lowest;
  shape.highest = highest;
  shape.code_bound = integer::unsigned_highest(bits.activation);
  shape.in = layer == 0 && row_as_channels_ ? node.kernel : model_.network.in_channels(layer) / node.groups;
  shape.out = node.shape.channels;
  shape.active_out = std::min(shape.out, bits.active_blocks * model_.space.block);
  shape.kernel = node.kernel;
  shape.stride = node.stride;
  shape.width = node.shape.width;
  shape.height = node.shape.height;
  const int count = kernels_.packings(shape, list);
  return {list, list + count};
}

std::vector<Packing> WeightStore::packings(int layer, const LayerBits& bits) {
  const std::lock_guard lock(mutex_);
  return legal(layer, bits);
}

const PackedWeights& WeightStore::packed(int layer, const LayerBits& bits) {
  const std::lock_guard lock(mutex_);
  const auto wanted = std::make_tuple(layer, bits.weight, bits.activation, bits.active_blocks);
  auto packing = packings_.find(wanted);
  if (packing == packings_.end()) {
    const std::vector<Packing> list = legal(layer, bits);
    const auto place = static_cast<std::size_t>(choice_.place(layer, bits));
    packing = packings_.emplace(wanted, list[std::min(place, list.size() - 1)]).first;
  }
  const auto key = std::make_tuple(layer, bits.weight, packing->second);
  const auto found = packed_.find(key);
  if (found != packed_.end()) return found->second;
  return packed_.emplace(key, pack_weights(effective(layer, bits.weight), packing->second)).first->second;
}

}  // namespace bitpilot
