#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/format/model_data.h"

namespace bitpilot {

/// Text behind --bits in every help.
inline constexpr char kBitsHelp[] =
    "policy (chosen per picture), 8 (all layers), 4/8 (weights/activations), an anchor's name, or a JSON file "
    "{\"bits\": [[weight, "
    "activation, blocks], ...]}";

/// What --bits asks for: nothing for "policy", else one configuration for every picture.
/// Throws Error(kUsage) on a width that the model does not offer or an unknown name, Error(kData) on a bad file.
std::optional<BitConfig> read_bits(const std::string& text, const ModelData& model);
/// [[weight, activation, blocks], …] of the adaptive layers, or of all layers, as decision records have it.  `where` is
/// for messages.
BitConfig parse_config(const std::string& json_text, const std::string& where, const ModelData& model);
/// Widths that a layer's weights can run at: what the layer offers, or the one width that its codes are stored at.  Values take every offered one.
std::vector<int> weight_widths(const ModelData& model, int layer);
/// Name of a configuration in records: its anchor's, else its bits.
std::string config_name(const BitConfig& config, const ModelData& model);

}  // namespace bitpilot
