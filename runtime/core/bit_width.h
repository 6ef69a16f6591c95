#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// Precision and width of one weight layer in one configuration.
struct LayerBits {
  int weight = 8;         ///< bit-width of the weights, 2..8
  int activation = 8;     ///< bit-width of the activations that this layer reads, 2..8
  int active_blocks = 0;  ///< filter blocks computed, 1..LayerSpace::blocks; the filters past them are at 0 bits
                          ///< (output 0, not computed)
  bool operator==(const LayerBits&) const = default;
};

/// One LayerBits per weight layer (Conv2d and Linear nodes in network order), stem and classifier included (always 8/8,
/// all blocks).
using BitConfig = std::vector<LayerBits>;

/// What one layer may be set to.
struct LayerSpace {
  std::vector<int> bits{8};  ///< candidate bit-widths, ascending, for weights and activations alike
  int blocks = 1;            ///< filter blocks of the layer (ceil(out_channels / block))
  bool fixed = false;        ///< stem or classifier: 8/8, all blocks, outside the action space
  bool operator==(const LayerSpace&) const = default;
};

/// The action space: one LayerSpace per weight layer.
struct BitSpace {
  int block = 8;  ///< filters per block, 8 or 16
  std::vector<LayerSpace> layers;
  bool operator==(const BitSpace&) const = default;
};

enum class Granularity { kTensor, kChannel };
enum class Symmetry { kSymmetric, kAsymmetric, kNoZero, kBinMiddle };

/// The shape of a weight quantiser.  kNoZero: grids without zero (DoReFa, ABS); kBinMiddle: truncated codes decoded at
/// the middle of their bin.
struct Form {
  Granularity granularity = Granularity::kChannel;
  Symmetry symmetry = Symmetry::kSymmetric;
  bool operator==(const Form&) const = default;
};

}  // namespace bitpilot
