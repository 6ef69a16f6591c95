#include "runtime/engine/weight_store.h"

#include <algorithm>
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
  weights.values.reserve(stored.codes.size());
  for (const std::int8_t code : stored.codes)
    weights.values.push_back(static_cast<std::int16_t>(narrow.form().g * narrow.code(code) + narrow.form().h));
  return layer == 0 && row_as_channels_ ? rows_to_channels(weights, node.kernel) : weights;
}

std::vector<Packing> WeightStore::packings(int layer, const EffectiveWeights& weights, int activation_bits) const {
  const Node& node = model_.network.layer(layer);
  if (node.op == Op::kLinear) return {linear_packing(weights.lowest(), weights.highest())};
  ConvShape shape;
  shape.depthwise = weights.depthwise;
  shape.lowest = weights.lowest();
  shape.highest = weights.highest();
  shape.code_bound = integer::unsigned_highest(activation_bits);
  shape.in = weights.in;
  shape.out = weights.out;
  shape.kernel = node.kernel;
  shape.stride = node.stride;
  shape.width = node.shape.width;
  shape.height = node.shape.height;
  Packing legal[kMaxPackings];
  const int count = kernels_.packings(shape, legal);
  return {legal, legal + count};
}

std::vector<Packing> WeightStore::packings(int layer, const LayerBits& bits) const {
  return packings(layer, effective(layer, bits.weight), bits.activation);
}

const PackedWeights& WeightStore::packed(int layer, const LayerBits& bits) {
  const std::lock_guard lock(mutex_);
  EffectiveWeights weights;
  const auto wanted = std::make_tuple(layer, bits.weight, bits.activation);
  auto packing = packings_.find(wanted);
  if (packing == packings_.end()) {
    weights = effective(layer, bits.weight);
    const std::vector<Packing> legal = packings(layer, weights, bits.activation);
    const auto place = static_cast<std::size_t>(choice_.place(layer, bits));
    packing = packings_.emplace(wanted, legal[std::min(place, legal.size() - 1)]).first;
  }
  const auto key = std::make_tuple(layer, bits.weight, packing->second);
  const auto found = packed_.find(key);
  if (found != packed_.end()) return found->second;
  if (weights.values.empty()) weights = effective(layer, bits.weight);
  return packed_.emplace(key, pack_weights(weights, packing->second)).first->second;
}

}  // namespace bitpilot
