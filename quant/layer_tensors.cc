#include "quant/layer_tensors.h"

#include <algorithm>

#include "runtime/core/error.h"

namespace bitpilot {

const torch::Tensor& tensor_named(const NamedTensors& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& entry) { return entry.first == name; });
  if (found == tensors.end()) throw Error(ExitCode::kBug, "the network has no \"" + name + "\"", "its parameters", "report this");
  return found->second;
}

torch::Tensor by_filter(const torch::Tensor& values, const torch::Tensor& weight) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
  shape[0] = values.numel();
  return values.reshape(shape);
}

}  // namespace bitpilot
