#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "quant/quantized_network.h"

namespace bitpilot {

/// Float32 tensors and a JSON object in one safetensors file, written atomically.  Throws Error(kMachine) if it cannot be written.
void write_checkpoint(const std::string& path, const NamedTensors& tensors, const nlohmann::json& state);

/// Fills `tensors` in place (names and shapes must fit exactly) and returns the JSON object.  Nothing is changed on failure.
/// `more`: the file may hold other tensors besides, as the optimiser's.  Throws Error(kData) on a damaged file or one that belongs to
/// another recipe.
nlohmann::json read_checkpoint(const std::string& path, const NamedTensors& tensors, bool more = false);
/// The JSON object alone.
nlohmann::json read_checkpoint_state(const std::string& path);

/// `<folder>/step-%08lld.safetensors`, newest first.
std::vector<std::string> list_checkpoints(const std::string& folder);
/// Deletes all but the newest `keep`.
void prune_checkpoints(const std::string& folder, std::size_t keep);
/// Deletes what a killed process left of a file that it was writing ("NAME.tmpPID.N").
void remove_torn_files(const std::string& folder);

}  // namespace bitpilot
