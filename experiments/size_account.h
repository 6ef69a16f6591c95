#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// What a network of one configuration takes, by one formula for every method:
///   raw bytes    = sum over layers of ceil(weights * bits / 8) + 4 * (scales + biases) + channel gains; one bias a filter, one scale a
///                  filter or a layer
///   float bytes  = 4 * (weights + biases), normalisation folded
/// and as it stands in the model file: its tensors (where a bias takes two bytes), and all of it, with graph, labels and provenance.
struct SizeAccount {
  std::int64_t raw = 0, float_raw = 0, tensors = 0, file = 0;
  double ratio() const { return static_cast<double>(float_raw) / static_cast<double>(raw); }
};

/// ceil(weights * bits / 8) of one layer.
std::int64_t weight_bytes(const Network& network, int layer, int bits);
/// Throws Error(kData) if the model cannot be written.
SizeAccount account_size(const ModelData& model, const BitConfig& config);
nlohmann::json size_json(const SizeAccount& size);

}  // namespace bitpilot
