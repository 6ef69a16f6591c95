#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/format/model_data.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/packing.h"

namespace bitpilot {

/// Which of the packings that the kernels list for a layer at some bits and width to take, by its place in the list; what
/// is not named takes that of the next wider one named, else the first.  Any choice gives the same codes.
class KernelChoice {
 public:
  KernelChoice() = default;
  /// The same place for every layer and all bits; the last one where a list is shorter.
  explicit KernelChoice(int everywhere) : otherwise_(everywhere) {}
  void set(int layer, const LayerBits& bits, int place) { chosen_[key(layer, bits)] = place; }
  int place(int layer, const LayerBits& bits) const {
    const auto found = chosen_.lower_bound(key(layer, bits));
    const bool same = found != chosen_.end() && std::get<0>(found->first) == layer &&
                      std::get<1>(found->first) == bits.weight && std::get<2>(found->first) == bits.activation;
    return same ? found->second : otherwise_;
  }

 private:
  using Key = std::tuple<int, int, int, int>;  // layer, weight bits, activation bits, active blocks
  static Key key(int layer, const LayerBits& bits) { return {layer, bits.weight, bits.activation, bits.active_blocks}; }
  int otherwise_ = 0;
  std::map<Key, int> chosen_;
};

/// The weights of a model, unpacked and packed for one kernel set: once per layer, width and packing, whole layers,
/// kept for good. Configurations take prefixes of them.  Thread-safe; what it returned stays valid and unchanged as
/// long as the store lives.
class WeightStore {
 public:
  /// `row_as_channels`: of the stem, see Layout.
  WeightStore(const ModelData& model, const Kernels& kernels, bool row_as_channels, KernelChoice choice = {});
  /// Of a layer, packed as the kernels like it best at this width: all filters.
  const PackedWeights& packed(int layer, const LayerBits& bits);
  /// All packings that the kernels can use for a layer, the one that is fastest as a rule first.
  std::vector<Packing> packings(int layer, const LayerBits& bits);

 private:
  /// Lowest and highest effective weight.
  using Range = std::pair<int, int>;
  EffectiveWeights effective(int layer, int weight_bits) const;
  Range range(int layer, int weight_bits);
  std::vector<Packing> legal(int layer, const LayerBits& bits);

  const ModelData& model_;
  const Kernels& kernels_;
  bool row_as_channels_;
  KernelChoice choice_;
  std::mutex mutex_;
  std::map<std::tuple<int, int, Packing>, PackedWeights> packed_;  // layer, weight bits
  std::map<std::tuple<int, int, int, int>, Packing> packings_;     // layer, weight bits, activation bits, active blocks
  std::map<std::pair<int, int>, Range> ranges_;                    // layer, weight bits
};

}  // namespace bitpilot
