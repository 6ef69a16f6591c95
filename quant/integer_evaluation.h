#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/trace.h"
#include "runtime/format/model_data.h"

namespace bitpilot {

/// Deliberate mistakes, so that tests can show that the comparison with the runtime would notice them.
enum class IntegerMutation {
  kNone,
  kRoundHalfUp,             ///< floor(x + 0.5) instead of half to even
  kZeroPointOffByOne,       ///< of the codes that a layer reads
  kNormalisationNotFolded,  ///< gains of the calibration left out
  kPaddedWithZero,          ///< border of code 0 instead of the zero point
};

struct IntegerEvaluation {
  std::vector<std::vector<float>> scores;      ///< [image][class], before temperature
  std::vector<std::vector<CodeTrace>> traces;  ///< [image], in the order of Session::trace; empty unless asked for
};

/// The training side's evaluation of an exported model: integer codes convolved exactly (float64), then the same
/// float32 roundings as the runtime's, for a whole batch.  Written apart from the engine on purpose; both must give
/// equal codes. `codes`: u8 [images][height][width][channels] as preprocess() gives them.  Throws Error(kData) as
/// fold_layer does.
IntegerEvaluation evaluate_integer(const ModelData& model, const BitConfig& config, std::span<const std::uint8_t> codes,
                                   bool with_traces, IntegerMutation mutation = IntegerMutation::kNone);

}  // namespace bitpilot
