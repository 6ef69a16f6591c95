#include "quant/found_bits.h"

#include <algorithm>

#include "quant/guided.h"
#include "quant/layer_tensors.h"
#include "quant/same_range.h"
#include "runtime/core/error.h"
#include "runtime/core/fusion.h"

namespace bitpilot {

using torch::Tensor;

FoundBits::FoundBits(const QuantizedNetwork& network, const BitConfig& found)
    : network_(network.network()), space_(network.space()), reader_(found.size(), -1) {
  check_config(network_, space_, found);
  found_ = torch::empty({static_cast<std::int64_t>(found.size()), 3});
  const std::vector<int>& groups = network_.width_groups();
  for (std::size_t l = 0; l < found.size(); ++l) {
    const int values[] = {found[l].weight, found[l].activation, found[l].active_blocks};
    for (int column = 0; column < 3; ++column) found_[static_cast<std::int64_t>(l)][column] = static_cast<float>(values[column]);
    if (found[l].active_blocks < space_.layers[l].blocks && std::count(groups.begin(), groups.end(), groups[l]) > 1)
      throw Error(ExitCode::kBug, "filters that layers share cannot be masked", network_.layer(static_cast<int>(l)).name, "report this");
  }
  for (const FusedStep& step : fuse(network_))
    for (const int reader : step.readers) {
      if (network_.fixed(reader)) continue;
      int& first = reader_[static_cast<std::size_t>(step.layer)];
      if (first >= 0 && found[first].activation != found[reader].activation)
        throw Error(ExitCode::kBug, "one value read at two bit-widths", network_.layer(reader).name, "report this");
      first = reader;
    }
}

int FoundBits::entry(int layer, int column) const { return static_cast<int>(found_[layer][column].item<float>()); }

Tensor FoundBits::weights(int layer, const Tensor& weight, const Tensor& log_step, int) const {
  return quantize_weights(weight, log_step, entry(layer, 0));
}

Tensor FoundBits::activations(int layer, const Tensor& value, const ActivationQuantizer& quantizer) const {
  const std::int64_t active = std::min<std::int64_t>(value.size(1), static_cast<std::int64_t>(entry(layer, 2)) * space_.block);
  Tensor src = value;
  if (active < value.size(1)) {
    Tensor mask = torch::zeros({1, value.size(1), 1, 1});
    mask.narrow(1, 0, active).fill_(1);
    src = value * mask;
  }
  const int reader = reader_[static_cast<std::size_t>(layer)];
  if (reader < 0) return quantize_activations(src, quantizer);
  const int bits = entry(reader, 1);
  return quantize_activations(src, {quantizer.log_step + same_range(quantizer.bits, bits), bits, quantizer.is_signed});
}

BitConfig FoundBits::config() const {
  BitConfig config;
  for (int l = 0; l < network_.layer_count(); ++l) config.push_back({entry(l, 0), entry(l, 1), entry(l, 2)});
  return config;
}

void FoundBits::fit_steps(QuantizedNetwork* network) const {
  const NamedTensors parameters = network->parameters();
  for (int l = 0; l < network_.layer_count(); ++l) {
    const std::string& name = network_.layer(l).name;
    if (!network_.fixed(l)) refit_steps(tensor_named(parameters, name + ".weight"), tensor_named(parameters, name + ".log_step"), entry(l, 0));
  }
}

}  // namespace bitpilot
