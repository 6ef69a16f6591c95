#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// One fully connected layer in integers: acc = sum(weight * code) + bias in int32, result = float32(acc) *
/// multiplier[o]. Hidden layers round the result to a code 0..255 (ReLU is the clamp); the last layer's result is a
/// real number.
struct IntegerLayer {
  int inputs = 0, outputs = 0;
  std::vector<std::int8_t> weights;  ///< [outputs][inputs]
  std::vector<std::int32_t> bias;    ///< [outputs]
  std::vector<float> multiplier;     ///< [outputs], > 0
  bool operator==(const IntegerLayer&) const = default;
};

/// A small integer multilayer perceptron; no layers = no such part.
struct IntegerMlp {
  std::vector<IntegerLayer> layers;
  bool operator==(const IntegerMlp&) const = default;
  bool empty() const { return layers.empty(); }
  int inputs() const { return layers.front().inputs; }
  int outputs() const { return layers.back().outputs; }
  std::int64_t macs() const;
  /// `codes`: inputs() integers in -127..255.  Writes outputs() real numbers; overwrites `codes` and `hidden`, which
  /// hold the codes between the layers.
  void run(std::vector<std::int32_t>& codes, std::vector<std::int32_t>& hidden, std::vector<float>& result) const;
};

/// Every real input of a policy network is standardised and coded at this step in -127..127 (about +-4 standard
/// deviations).
inline constexpr float kPolicyInputStep = 1.0F / 32.0F;
std::int32_t policy_code(float standardised);

/// Which number of a look the monotone stop curves read.
enum class StopSignal { kOneMinusTop, kEntropy, kOneMinusMargin };

/// The policy as plain numbers.  The exporter fills it, PolicyHead runs it; pack and unpack are its form in the model
/// file. K anchors, L weight layers, F = statistics + stem channels, E = embedding width.
struct PolicyParameters {
  std::vector<float> feature_mean, feature_scale;  ///< [F] standardisation: (x - mean) * scale; the statistics alone,
                                                   ///< or statistics and stem means
  IntegerMlp embedding;                        ///< F -> E, standardised outputs
  IntegerMlp severity;                         ///< E -> 1
  std::vector<float> first_cost, second_cost;  ///< [K] relative cost of a whole pass / of a pass from the stem's code
  std::string cost_unit = "bops";              ///< what those are relative to: "bops" or "ms" of uniform 8 bits
  double reference_ms = 0;                     ///< "ms": of one pass at uniform 8 bits on the machine of the price list
  /// "ms": relative costs of deciding, as DecidingTimes; "bops": counted, not stored.
  double choosing_cost = 0, guard_cost = 0, networks_cost = 0;
  double lambda_low = 1e-3, lambda_high = 32;  ///< range that the tables cover
  double lambda_floor = 0;  ///< smaller lambdas decide as this one: more cost would bring no accuracy
  std::vector<std::vector<float>>
      first_value;            ///< [knots][K] mean task loss + lambda * second look's cost; lambda log-spaced
  IntegerMlp first_residual;  ///< E + 1 (lambda) -> K, this picture's deviation from first_value
  float first_weight = 0;     ///< of first_residual; 0 = one first look per lambda
  std::vector<std::vector<std::uint8_t>>
      first_allowed;  ///< [knots][K] anchors that may be looked at first (nearest knot)
  StopSignal signal = StopSignal::kEntropy;
  std::vector<std::vector<float>> curve_at;    ///< [K][points] signal values, ascending
  std::vector<std::vector<float>> curve_drop;  ///< [K][K * points] expected drop of task loss, second anchor major
  std::vector<float> confidence_mean, confidence_scale;  ///< [C] of look_features: C = 6 or look_feature_count(classes)
  std::vector<IntegerMlp> stop_residual;                 ///< [K]: E + C -> K, deviation from the curves
  float stop_weight = 0;                                 ///< of stop_residual; 0 = threshold on the signal
  std::vector<std::vector<std::uint8_t>> pair_allowed;   ///< [knots][K * K] first anchor major
  std::string family = "logistic";                       ///< of the per-layer distributions
  std::vector<float> spread;  ///< [K][L][2] standard deviation in bits of weights, activations
  IntegerMlp offset;          ///< E + 1 -> 2L per-layer offsets in ladder steps; empty: none
  std::size_t anchors() const { return first_cost.size(); }
  std::size_t knots() const { return first_value.size(); }
};

/// Writes description and tensors.  Throws Error(kBug) on inconsistent sizes.
PolicyData pack_policy(const PolicyParameters& parameters);
/// Reads and checks against the model's network and anchors.  Throws Error(kData).
PolicyParameters unpack_policy(const ModelData& model);

/// Position of lambda among `knots` log-spaced values in [low, high], 0 .. knots - 1, in fixed float order.
float lambda_position(double lambda, double low, double high, std::size_t knots);
/// The code of lambda as a network input.
std::int32_t lambda_code(double lambda, double low, double high);

}  // namespace bitpilot
