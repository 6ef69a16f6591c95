#pragma once

#include <string>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// One configuration of a model as an ONNX graph (opset 13) in quantise-dequantise form: int8 weights with a scale per filter and a zero point per
/// layer, unsigned 8-bit activations, int32 biases.  Codes narrower than 8 bits are clipped between QuantizeLinear and DequantizeLinear (QCDQ).
///   image   u8 [1, channels, height, width], preprocessed codes (data/preprocess.h)
///   scores  f32 [1, classes], before temperature
/// The integers are the engine's but for one thing: a reader of the stem quantises its real value, not its 8-bit code, so a code may differ
/// by one.  Throws Error(kUsage) if the configuration leaves out filters, or if int8 codes cannot hold a layer's weights: at 7 or 8 bits
/// of a Form that is not symmetric they may lie too far from its zero point.
/// Returns the file's bytes.
std::string onnx_model(const ModelData& model, const BitConfig& config);

}  // namespace bitpilot
