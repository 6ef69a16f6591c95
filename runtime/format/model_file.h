#pragma once

#include <string>

#include "runtime/format/model_data.h"

namespace bitpilot {

inline constexpr int kModelFormatVersion = 1;

/// Reads and checks a model file (*.safetensors with __metadata__.bitpilot).  Nothing is allocated from a size that was
/// not checked. Throws Error(kData) on anything wrong, Error(kMachine) if the file cannot be read.
ModelData read_model(const std::string& path);
/// The bytes of a model file; the same data give the same bytes.
std::string model_bytes(const ModelData& model);
ModelData parse_model(const std::string& bytes, const std::string& where);
/// Writes atomically (temporary file, fsync, rename).  Throws Error(kMachine).
void write_model(const ModelData& model, const std::string& path);

/// Bytes by part, for `inspect` and the size rule of the design.
struct ModelSizes {
  std::size_t weights = 0, scales = 0, calibration = 0, policy = 0, header = 0, total = 0;
  std::size_t plain_8bit = 0;  ///< one byte a weight + float32 scale and int32 bias a filter
};
ModelSizes model_sizes(const ModelData& model);

}  // namespace bitpilot
