#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "policy/paired_bootstrap.h"
#include "quant/guided.h"
#include "quant/training_loop.h"

namespace bitpilot {

/// What rounding one layer costs.  Accuracies are shares of the pictures that the report was made on.
struct LayerBottleneck {
  int layer = -1;
  std::string name;
  std::int64_t parameters = 0, macs = 0, bytes = 0;  ///< bytes of its weights at `bits`
  int bits = 8;
  GuidedLayer trained;    ///< how training left it, before its weights were rounded
  double solo_drop = 0;   ///< lost when only this layer is rounded
  Interval relief;        ///< gained when every layer but this one is rounded
  double share = 0;       ///< of the positive reliefs of all layers
  bool flagged = false;   ///< relief >= 0.005 and beyond chance, or weights that spread (R > 1/24) because the loss wants it (conflict < -0.2)
  int suggested_bits = 8; ///< one more if flagged
};

/// Layers promoted by one bit one after the other, nothing retrained.
struct PromotionLine {
  std::string name;
  std::vector<std::pair<std::int64_t, double>> points;  ///< bytes of all weights, accuracy; the first one: nothing promoted
};

struct BottleneckReport {
  std::size_t images = 0;
  double float_accuracy = 0, accuracy = 0;  ///< no layer's weights rounded, all rounded
  std::vector<LayerBottleneck> layers;      ///< adaptive ones, the greatest relief first
  std::vector<PromotionLine> promotions;    ///< as advised (flagged layers first, by relief per byte), then random orders
};

/// Where compression hurts: rounds layers of the trained weights that `network` holds, in the arithmetic of its nested codes, one at a time
/// and all but one.  Activations are rounded throughout; each pass is normalised by its batch, so a batch should hold some hundred pictures.
/// `config` is one of the network's paths; `trained` [layer].  Random orders are drawn from `seed`.
BottleneckReport find_bottlenecks(QuantizedNetwork* network, const BitConfig& config, const std::vector<GuidedLayer>& trained,
                                  const std::vector<TrainingBatch>& batches, std::uint64_t seed);

nlohmann::json bottlenecks_json(const BottleneckReport& report);
/// Pictures: relief and solo drop of each layer; the promotions.
std::string reliefs_svg(const BottleneckReport& report);
std::string promotions_svg(const BottleneckReport& report);

}  // namespace bitpilot
