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

/// What a change brings on the same pictures: accuracy (a share), and cross-entropy saved, which tells layers apart long before
/// accuracy does: at 2 bits most layers cost less than accuracy's noise.
struct Gain {
  Interval accuracy, loss;
};

/// What rounding one layer's weights costs.
struct LayerBottleneck {
  int layer = -1;
  std::string name;
  std::int64_t parameters = 0, macs = 0, bytes = 0;  ///< bytes of its weights at `bits`
  int bits = 8;
  GuidedLayer trained;    ///< how training left it, before its weights were rounded
  double solo_drop = 0;   ///< accuracy lost when only this layer is rounded
  Gain relief;            ///< when every layer but this one is rounded
  Gain promotion;         ///< when this layer alone has one bit more and all are rounded
  double share = 0;       ///< of the positive reliefs (loss) of all layers
  bool flagged = false;   ///< relief of accuracy >= 0.005 and beyond chance, or weights that spread (R > 1/24) because the loss wants it
                          ///< (conflict < -0.2)
  int suggested_bits = 8; ///< one more if flagged
};

/// What rounding the values behind one layer costs.
struct ValueBottleneck {
  std::string name;  ///< of the layer (the stem too) that they come from
  Gain relief;       ///< when all is rounded but these values
};

/// Layers promoted by one bit one after the other, nothing retrained.
struct PromotionLine {
  std::string name;
  std::vector<std::pair<std::int64_t, double>> points;  ///< bytes of all weights, accuracy; the first one: nothing promoted
};

struct BottleneckReport {
  std::size_t images = 0;
  double float_accuracy = 0, accuracy = 0;  ///< no layer's weights rounded, all rounded
  std::vector<LayerBottleneck> layers;      ///< adaptive ones, the greatest relief (loss) first
  std::vector<ValueBottleneck> values;      ///< the greatest relief (loss) first
  std::string best_promotion;               ///< layer whose promotion saves most loss; equal ones: the first in `layers`
  std::vector<PromotionLine> promotions;    ///< as advised (the flagged layers by relief per byte; where none is, the start alone), then
                                            ///< all layers by relief per byte, then random orders; at most eight layers each
  double before_pull_at = 0;                ///< share of the training's steps that the judged weights have behind them, the caller's to tell
};

/// Where compression hurts: rounds layers of the weights that `network` holds, in the arithmetic of its nested codes, one at a time and all
/// but one.  The weights should be ones that rounding changes: those from before the pull, not those that stand on their levels already.
/// Activations are rounded throughout, but where `values` says; each pass is normalised by its batch, so a batch should hold some hundred
/// pictures.  `config` is one of the network's paths; `trained` [layer].  Random orders are drawn from `seed`.
BottleneckReport find_bottlenecks(QuantizedNetwork* network, const BitConfig& config, const std::vector<GuidedLayer>& trained,
                                  const std::vector<TrainingBatch>& batches, std::uint64_t seed);

/// "weights_of" says of which weights each figure is: grid_distance, near_level and sqnr_db (null on the grid) of those that training ended
/// with, conflict of all that the pull moved, the others of those from before the pull.
nlohmann::json bottlenecks_json(const BottleneckReport& report);
/// Pictures: relief and promotion of each layer; the promotions one after the other.
std::string reliefs_svg(const BottleneckReport& report);
std::string promotions_svg(const BottleneckReport& report);

}  // namespace bitpilot
