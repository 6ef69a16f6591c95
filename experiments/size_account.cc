#include "experiments/size_account.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/format/model_file.h"
#include "runtime/format/packing.h"

namespace bitpilot {

std::int64_t weight_bytes(const Network& network, int layer, int bits) {
  return static_cast<std::int64_t>(packed_size(static_cast<std::uint64_t>(network.weight_count(layer)), bits));
}

SizeAccount account_size(const ModelData& model, const BitConfig& config) {
  SizeAccount size;
  bool gains = false;  // the file leaves them out where all are 0
  for (const LayerCalibration& layer : model.anchors.front().layers)
    gains = gains || std::any_of(layer.channel_gain.begin(), layer.channel_gain.end(), [](int gain) { return gain != 0; });
  for (int l = 0; l < model.network.layer_count(); ++l) {
    const std::int64_t filters = model.network.layer(l).shape.channels;
    const auto i = static_cast<std::size_t>(l);
    const bool shared = model.weights[i].form.granularity == Granularity::kTensor;
    size.raw += weight_bytes(model.network, l, config[i].weight) + 4 * (shared ? 1 : filters) + 4 * filters + (gains ? filters : 0);
    size.float_raw += 4 * (model.network.weight_count(l) + filters);
  }
  const ModelSizes sizes = model_sizes(model);
  size.tensors = static_cast<std::int64_t>(sizes.weights + sizes.scales + sizes.calibration);
  size.file = static_cast<std::int64_t>(sizes.total);
  return size;
}

nlohmann::json size_json(const SizeAccount& size) {
  return {{"raw_bytes", size.raw}, {"float_raw_bytes", size.float_raw}, {"times_smaller", size.ratio()},
          {"tensor_bytes", size.tensors}, {"file_bytes", size.file}};
}

}  // namespace bitpilot
