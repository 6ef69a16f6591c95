#include "policy/export.h"

#include <algorithm>
#include <cmath>

namespace bitpilot {
namespace {

/// int8 rows and int32 bias of one layer that reads codes of step `input_step`; multiplier to real numbers.
IntegerLayer quantise_layer(const RealLayer& layer, double input_step) {
  IntegerLayer result{layer.inputs, layer.outputs, {}, {}, {}};
  const auto width = static_cast<std::size_t>(layer.inputs);
  for (std::size_t o = 0; o < static_cast<std::size_t>(layer.outputs); ++o) {
    const auto row = layer.weights.begin() + static_cast<std::ptrdiff_t>(o * width);
    double largest = 0;
    for (std::size_t i = 0; i < width; ++i)
      largest = std::max(largest, std::abs(static_cast<double>(row[static_cast<std::ptrdiff_t>(i)])));
    // A row of (nearly) no weights still has to hold its bias in 2^30.
    const double step =
        std::max({largest / 127.0, std::abs(static_cast<double>(layer.bias[o])) / input_step / 0x1.0p28, 1e-12});
    for (std::size_t i = 0; i < width; ++i)
      result.weights.push_back(static_cast<std::int8_t>(std::nearbyint(row[static_cast<std::ptrdiff_t>(i)] / step)));
    result.bias.push_back(static_cast<std::int32_t>(std::nearbyint(layer.bias[o] / (step * input_step))));
    result.multiplier.push_back(static_cast<float>(step * input_step));
  }
  return result;
}

double quantile(std::vector<float> values, double share) {
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

}  // namespace

IntegerMlp to_integer(const RealMlp& network, const Rows& calibration) {
  IntegerMlp result;
  double input_step = kPolicyInputStep;
  for (std::size_t i = 0; i < network.size(); ++i) {
    IntegerLayer layer = quantise_layer(network[i], input_step);
    if (i + 1 < network.size()) {
      const RealMlp head(network.begin(), network.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      const double highest = std::max(quantile(evaluate_network(head, calibration).values, 0.999), 1e-6);
      input_step = highest / 255.0;
      for (float& m : layer.multiplier) m = static_cast<float>(m / input_step);
    }
    result.layers.push_back(std::move(layer));
  }
  return result;
}

Rows rounded_inputs(const Rows& standardised) {
  Rows result = standardised;
  for (float& v : result.values) v = static_cast<float>(policy_code(v)) * kPolicyInputStep;
  return result;
}

Rows apply_integer(const IntegerMlp& network, const Rows& inputs) {
  Rows result{network.outputs(), {}};
  std::vector<std::int32_t> codes, hidden;
  std::vector<float> values;
  for (std::size_t r = 0; r < inputs.count(); ++r) {
    codes.resize(static_cast<std::size_t>(inputs.columns));
    for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = policy_code(inputs.row(r)[i]);
    network.run(codes, hidden, values);
    result.values.insert(result.values.end(), values.begin(), values.end());
  }
  return result;
}

}  // namespace bitpilot
