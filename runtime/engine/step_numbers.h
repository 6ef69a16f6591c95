#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "runtime/core/fusion.h"
#include "runtime/format/model_data.h"

namespace bitpilot {

/// Everything that one configuration decides about one fused step, apart from where values lie.
struct StepNumbers {
  LayerBits bits;
  int active_out = 0, active_in = 0;
  int input_zero_point = 0;
  std::vector<float> multiplier;   ///< per filter, zeros up to a multiple of 16
  std::vector<std::int32_t> bias;  ///< per filter, input zero point included, zeros up to a multiple of 16

  /// One stored code.  Behind the stem (except its carry): made from the stem's carry.
  struct Output {
    int bits = 8;
    float scale = 1;  ///< codes per unit of the value; of the stem's readers: of the stem's carry
    int zero_point = 0;
    bool operator==(const Output&) const = default;
  };
  std::vector<Output> outputs;         ///< the carry first, if there is one
  std::vector<int> output_of_readers;  ///< parallel to FusedStep::readers: index into outputs
};

/// Effective weights of a folded layer: e = g * code + h.
std::vector<std::int16_t> effective_weights(const FoldedLayer& folded);

/// Whether no value of a step, any int32 times a multiplier plus any code times `carry_step`, reaches 2^31 in units of
/// a code, with room for rounding: CodeOutput::bounded.
bool stays_bounded(const StepNumbers& numbers, float carry_step, float scale);

/// Folded layers without their codes and with the input's zero point in the bias, kept: folding reads every weight, and
/// configurations that a search tries one after the other differ in a layer or two.  Thread-safe.
class FoldCache {
 public:
  /// Throws as fold_layer does.
  std::shared_ptr<const FoldedLayer> fold(const ModelData& model, const FusedStep& step, const BitConfig& config);

 private:
  /// Layer, weight and activation bits, active filters and channels, and whose calibration.
  using Key = std::tuple<int, int, int, int, int, const LayerCalibration*>;
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<const FoldedLayer>> kept_;
};

/// Numbers of every step.  Throws Error(kData) if the configuration does not fit the network or a sum could overflow.
std::vector<StepNumbers> resolve(const ModelData& model, const std::vector<FusedStep>& steps, const BitConfig& config,
                                 FoldCache& folds);

}  // namespace bitpilot
