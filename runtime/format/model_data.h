#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/core/integer.h"
#include "runtime/core/network.h"

namespace bitpilot {

/// Stored weights of one layer: one code each, from which narrower codes follow (integer::nested_code).
struct LayerWeights {
  Form form;
  int stored_bits =
      8;  ///< 8, or the one weight width of all anchors (codes then have that width, packed in the file)
  int zero_point = 0;              ///< asymmetric Forms only
  std::vector<std::int8_t> codes;  ///< [out][in / groups][kernel][kernel]
  /// [out]: real value of one unit of the accumulator (per unit of input) at stored_bits, folded normalisation
  /// included: one weight step, or half a step where g = 2 (kNoZero, kBinMiddle).  Any sign.  kTensor: equal entries.
  std::vector<float> channel_scale;
};

/// How one layer is calibrated in one anchor.  Real multiplier of filter o at w weight bits:
///   m[o] = input_step * 2^(stored_bits - w) * channel_scale[o] * gain * 2^(channel_gain[o] / 64)
/// and bias[o] = offset[o] * 2^offset_shift in units of the accumulator (g/h form applied first).
struct LayerCalibration {
  float input_step = 1;      ///< step of the activation code that this layer reads, > 0
  int input_zero_point = 0;  ///< 0 behind a ReLU
  float gain = 1;
  std::vector<std::int8_t> channel_gain;  ///< [out], in 1/64 octaves
  std::vector<std::int16_t> offset;       ///< [out]
  int offset_shift = 0;                   ///< 0..24
  bool operator==(const LayerCalibration&) const = default;
};

/// A configuration that was trained and calibrated as such.
struct Anchor {
  std::string name;  ///< "u2", "full8", "half2", "path3"
  BitConfig config;
  std::vector<LayerCalibration> layers;  ///< one per weight layer; the stem's is the same in all anchors
  float temperature = 1;                 ///< of the class scores, from validation
};

/// The 8-bit code that Adds read (and the stem's code): value = (code - zero_point) * step.
struct Carry {
  float step = 1;
  int zero_point = 0;  ///< 0 behind a ReLU, else 128
  bool operator==(const Carry&) const = default;
};

struct Preprocessing {
  bool stretch = true;  ///< stretch each picture to its own 2..98 % luma range
};

/// One point of the budget table: mean relative cost that lambda gives on validation.
struct BudgetPoint {
  double lambda = 0;
  double relative = 0;
};

/// A tensor of the policy as it stands in the file.  dtype "I8", "I16", "I32" or "F32"; bytes little endian.
struct PolicyTensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> bytes;
};

/// The policy, opaque to the container: runtime/policy_head reads it.  An empty description means a model without a
/// policy.
struct PolicyData {
  std::string description;  ///< JSON text
  std::map<std::string, PolicyTensor> tensors;
};

/// Everything in a model file, in plain C++.  The exporter fills it, the engine and the training side's integer
/// evaluation read it.
struct ModelData {
  Network network;
  BitSpace space;
  Preprocessing preprocessing;
  std::vector<std::string> labels;
  std::vector<LayerWeights> weights;  ///< one per weight layer
  std::vector<Carry> carries;   ///< one per weight layer: of the value of that layer's fused step; unused ones {1, 0}
  std::vector<Anchor> anchors;  ///< 1..16
  int safe_anchor = 0;          ///< runs when the policy cannot be trusted
  PolicyData policy;
  std::vector<BudgetPoint> budget;  ///< ascending lambda
  double default_lambda = 0;
  std::vector<std::string> statistics;  ///< names of the image statistics that the policy was trained on, in order
  std::vector<std::pair<float, float>> ranges;  ///< 0.1 % and 99.9 % quantile of each on training data
  std::string provenance;                       ///< JSON text: recipe, seed, data hashes; no time, path or host
};

/// The calibration of one layer in any configuration.
struct CalibrationChoice {
  const LayerCalibration* calibration = nullptr;
  LayerBits bits;      ///< the layer's setting in the anchor that it comes from
  bool exact = false;  ///< the whole configuration is an anchor
};
/// An anchor's own calibration if `config` is that anchor, else layer by layer the nearest anchor's (nearest_config()).
CalibrationChoice choose_calibration(const ModelData& model, const BitConfig& config, int layer);
/// Index of the anchor equal to `config`, -1 if none.
int find_anchor(const ModelData& model, const BitConfig& config);

/// A layer as the integer rule wants it, for one configuration.  Only active filters and active input channels.
struct FoldedLayer {
  int weight_bits = 8, activation_bits = 8;
  int active_out = 0, active_in = 0;  ///< channels; depthwise: active_in == active_out; the stem always whole
  float input_step = 1;
  int input_zero_point = 0;
  integer::AccumulatorForm accumulator;
  std::vector<std::int8_t> codes;  ///< [active_out][active_in / groups][k][k] at weight_bits
  std::vector<double> multiplier;  ///< m[o] in real units; behind a global average pool 1 / (H W) is included
  std::vector<std::int32_t> bias;
};
/// Where the calibration comes from an anchor of other widths w', a', it is carried over so that real values stay:
///   step = step' * 2^(a'-a), zero point = rne(z' * 2^(a-a')), bias = rne(bias' * 2^(w-w' + a-a')).
/// Throws Error(kData) if |acc| + |bias| could pass 2^31.
FoldedLayer fold_layer(const ModelData& model, const BitConfig& config, int layer);

}  // namespace bitpilot
