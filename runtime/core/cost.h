#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/network.h"

namespace bitpilot {

/// What one weight layer costs at each setting: [layer][weight bits][activation bits][active blocks], for a whole
/// input. Of a layer that reads fewer input channels all but a fixed part shrinks in proportion (a depthwise layer reads as
/// many as it writes: nothing more to save).  The fixed part is 0 where operations or bytes are counted; of measured time it
/// is what a layer takes whatever it reads.  Filled by BOPs, bytes or measured time; environment, search, cap and budget read
/// only this type.
class CostTable {
 public:
  /// All entries 0.  `unit`: "bops", "bytes" or "ms".  Throws Error(kBug) on another unit or a space of another
  /// network.
  CostTable(std::string unit, const Network& network, const BitSpace& space);
  const std::string& unit() const { return unit_; }
  double& at(int layer, int weight_bits, int activation_bits, int blocks);
  double at(int layer, int weight_bits, int activation_bits, int blocks) const;
  /// The part of at() that does not shrink with the input.
  double& fixed_part(int layer, int weight_bits, int activation_bits, int blocks);
  double fixed_part(int layer, int weight_bits, int activation_bits, int blocks) const;
  /// Whether the channels that a layer reads can be fewer than all.
  bool narrows(int layer) const { return inputs_[static_cast<std::size_t>(layer)].speaks >= 0; }
  /// Cost of one layer in a configuration: its fixed part, and the rest of its entry times active in / in.
  double layer_cost(int layer, const BitConfig& config) const;
  /// Cost of a whole pass, stem included.
  double cost(const BitConfig& config) const;
  /// Cost of the stem alone (computed once, shared by all looks).
  double stem_cost() const;
  /// Cost of a pass that starts from the stem's code.
  double cost_after_stem(const BitConfig& config) const { return cost(config) - stem_cost(); }
  /// Cost of uniform 8-bit, all filters: the denominator of "relative cost".
  double reference() const;

 private:
  /// Where the active input channels of a layer come from.
  struct Input {
    int speaks = -1;  ///< layer whose active_blocks counts, -1: all channels are active
    int channels = 1;
  };
  std::string unit_;
  BitSpace space_;
  std::vector<Input> inputs_;
  std::vector<std::vector<double>> entries_;  ///< [layer]: at() in its order, then fixed_part() in the same
  std::size_t index(int layer, int weight_bits, int activation_bits, int blocks) const;
};

/// BOPs = sum MACs * weight bits * activation bits * (active in / in) * (active out / out); of a depthwise layer the
/// last factor alone.
CostTable bops_table(const Network& network, const BitSpace& space);
/// Weight bytes read by one pass.
CostTable bytes_table(const Network& network, const BitSpace& space);
/// BOPs of the network in float32: MACs * 32 * 32.
double float_bops(const Network& network);

}  // namespace bitpilot
