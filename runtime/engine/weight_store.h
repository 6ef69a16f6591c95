#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "runtime/format/model_data.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/packing.h"

namespace bitpilot {

/// Which of the packings that the kernels list for a layer at some bits to take, by its place in the list; what is not
/// named takes the first.
class KernelChoice {
 public:
  KernelChoice() = default;
  /// The same place for every layer and all bits; the last one where a list is shorter.
  explicit KernelChoice(int everywhere) : otherwise_(everywhere) {}
  void set(int layer, int weight_bits, int activation_bits, int place) {
    chosen_[{layer, weight_bits, activation_bits}] = place;
  }
  int place(int layer, const LayerBits& bits) const {
    const auto found = chosen_.find({layer, bits.weight, bits.activation});
    return found == chosen_.end() ? otherwise_ : found->second;
  }

 private:
  int otherwise_ = 0;
  std::map<std::tuple<int, int, int>, int> chosen_;  // layer, weight bits, activation bits
};

/// The weights of a model, unpacked and packed for one kernel set: once per layer, width and packing, whole layers,
/// kept for good. Configurations take prefixes of them.  Thread-safe; what it returned stays valid and unchanged as
/// long as the store lives.
class WeightStore {
 public:
  /// `row_as_channels`: of the stem, see Layout.
  WeightStore(const ModelData& model, const Kernels& kernels, bool row_as_channels, KernelChoice choice = {});
  /// Of a layer, packed as the kernels like it best.
  const PackedWeights& packed(int layer, const LayerBits& bits);
  /// All packings that the kernels can use for a layer.
  std::vector<Packing> packings(int layer, const LayerBits& bits) const;

 private:
  EffectiveWeights effective(int layer, int weight_bits) const;
  std::vector<Packing> packings(int layer, const EffectiveWeights& weights, int activation_bits) const;

  const ModelData& model_;
  const Kernels& kernels_;
  bool row_as_channels_;
  KernelChoice choice_;
  std::mutex mutex_;
  std::map<std::tuple<int, int, Packing>, PackedWeights> packed_;  // layer, weight bits
  std::map<std::tuple<int, int, int>, Packing> packings_;          // layer, weight bits, activation bits
};

}  // namespace bitpilot
