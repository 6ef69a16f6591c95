#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/network.h"

namespace bitpilot {

/// What one weight layer costs at each setting: [layer][weight bits][activation bits][active blocks], for a whole input.
/// A layer that reads fewer input channels costs proportionally less.  Filled by BOPs, bytes or measured time; environment, search,
/// cap and budget read only this type.
class CostTable {
 public:
  /// `unit`: "bops", "bytes" or "ms".
  CostTable(std::string unit, const Network& network, const BitSpace& space);
  const std::string& unit() const { return unit_; }
  double& at(int layer, int weight_bits, int activation_bits, int blocks);
  double at(int layer, int weight_bits, int activation_bits, int blocks) const;
  /// Cost of one layer in a configuration: its entry times active in / in.
  double layer_cost(int layer, const BitConfig& config) const;
  /// Cost of a whole pass, stem included.
  double cost(const BitConfig& config) const;
  /// Cost of the stem alone (computed once, shared by all looks).
  double stem_cost() const;
  /// Cost of a pass that starts from the stem's code.
  double cost_after_stem(const BitConfig& config) const { return cost(config) - stem_cost(); }
  /// Cost of uniform 8-bit, all filters: the denominator of "relative cost".
  double reference() const { return reference_; }

 private:
  friend CostTable bops_table(const Network&, const BitSpace&);
  friend CostTable bytes_table(const Network&, const BitSpace&);
  std::string unit_;
  Network network_;
  BitSpace space_;
  double reference_ = 0;
  std::vector<std::vector<double>> entries_;
  std::size_t index(int layer, int weight_bits, int activation_bits, int blocks) const;
};

/// BOPs = sum MACs * weight bits * activation bits * (active in / in) * (active out / out).
CostTable bops_table(const Network& network, const BitSpace& space);
/// Weight bytes read by one pass.
CostTable bytes_table(const Network& network, const BitSpace& space);
/// BOPs of a configuration in a float network: MACs * 32 * 32.
double float_bops(const Network& network);

}  // namespace bitpilot
