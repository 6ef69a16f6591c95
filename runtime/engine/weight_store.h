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

/// The weights of a model, unpacked and packed for one kernel set: once per layer, width and packing, whole layers,
/// kept for good. Configurations take prefixes of them.  Thread-safe; what it returned stays valid and unchanged as
/// long as the store lives.
class WeightStore {
 public:
  /// `row_as_channels`: of the stem, see Layout.
  WeightStore(const ModelData& model, const Kernels& kernels, bool row_as_channels);
  /// Of a layer, packed as the kernels like it best.
  const PackedWeights& packed(int layer, const LayerBits& bits);

 private:
  EffectiveWeights effective(int layer, int weight_bits) const;
  Packing best_packing(int layer, const EffectiveWeights& weights, int activation_bits) const;

  const ModelData& model_;
  const Kernels& kernels_;
  bool row_as_channels_;
  std::mutex mutex_;
  std::map<std::tuple<int, int, Packing>, PackedWeights> packed_;  // layer, weight bits
  std::map<std::tuple<int, int, int>, Packing> packings_;          // layer, weight bits, activation bits
};

}  // namespace bitpilot
