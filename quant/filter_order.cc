#include "quant/filter_order.h"

#include <map>
#include <string>

#include "runtime/core/error.h"

namespace bitpilot {

using torch::Tensor;

void order_filters(QuantizedNetwork* network, const std::vector<Tensor>& orders) {
  torch::NoGradGuard guard;
  const Network& graph = network->network();
  const auto reorder = [](const Tensor& t, std::int64_t axis, const Tensor& order, const std::string& name) {
    if (t.size(axis) != order.size(0)) throw Error(ExitCode::kBug, "a narrow path's filters cannot be moved", name, "report this");
    t.detach().copy_(t.detach().index_select(axis, order));
  };
  std::map<std::string, int> layers;
  for (int l = 0; l < graph.layer_count(); ++l) layers[l == 0 ? "stem_norm" : graph.layer(l).name] = l;
  const int classifier = graph.layer_count() - 1;
  NamedTensors tensors = network->parameters();
  for (const auto& buffer : network->buffers()) tensors.push_back(buffer);
  for (const auto& [name, tensor] : tensors) {
    const std::size_t dot = name.rfind('.');
    const std::string kind = name.substr(dot + 1);
    if (kind != "gamma" && kind != "beta" && kind != "mean" && kind != "variance") continue;
    std::string owner = name.substr(0, dot);
    if (owner.starts_with("path.")) owner = owner.substr(owner.find('.', 5) + 1);
    const int l = layers.at(owner);
    if (l != classifier) reorder(tensor, 0, orders[static_cast<std::size_t>(l)], name);
  }
  const std::map<std::string, Tensor> named(tensors.begin(), tensors.end());
  for (int l = 0; l < graph.layer_count(); ++l) {
    const std::string& name = graph.layer(l).name;
    const int source = graph.channel_source(graph.layer(l).inputs[0]);
    if (source >= 0 && !graph.depthwise(l)) reorder(named.at(name + ".weight"), 1, orders[static_cast<std::size_t>(source)], name);
    if (l == classifier) continue;
    reorder(named.at(name + ".weight"), 0, orders[static_cast<std::size_t>(l)], name);
    if (const auto step = named.find(name + ".log_step"); step != named.end()) reorder(step->second, 0, orders[static_cast<std::size_t>(l)], name);
  }
}

}  // namespace bitpilot
