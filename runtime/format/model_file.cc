#include "runtime/format/model_file.h"

#include <bit>
#include <cstring>
#include <set>

#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/format/model_check.h"
#include "runtime/format/model_json.h"
#include "runtime/format/packing.h"
#include "runtime/format/safetensors.h"

static_assert(std::endian::native == std::endian::little, "tensors are copied as they lie in memory");

namespace bitpilot {
namespace {

constexpr const char* kMetadataKey = "bitpilot";

template <typename T>
std::span<const std::uint8_t> bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(T)};
}

template <typename T>
std::vector<T> values_of(const TensorView& view) {
  std::vector<T> values(view.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
  return values;
}

std::vector<std::int64_t> weight_shape(const Network& network, int layer) {
  const Node& node = network.layer(layer);
  const std::int64_t in = network.in_channels(layer) / node.groups;
  if (node.op == Op::kLinear) return {node.shape.channels, in};
  return {node.shape.channels, in, node.kernel, node.kernel};
}

std::string layer_tensor(const Network& network, int layer, const char* part) {
  return "layers." + network.layer(layer).name + "." + part;
}
std::string anchor_tensor(const Anchor& anchor, const char* part) { return "anchors." + anchor.name + "." + part; }

/// All filters of a network: offsets and gains of an anchor lie in one tensor each, layer after layer.
std::int64_t filter_count(const Network& network) {
  std::int64_t count = 0;
  for (int l = 0; l < network.layer_count(); ++l) count += network.layer(l).shape.channels;
  return count;
}

/// Owns what the views of a file to be written point to.
class TensorSet {
 public:
  template <typename T>
  void add(const std::string& name, const char* dtype, std::vector<std::int64_t> shape, const std::vector<T>& values) {
    const auto view = bytes_of(values);
    std::vector<std::uint8_t>& kept = bytes_[name];
    kept.assign(view.begin(), view.end());
    views_[name] = {dtype, std::move(shape), kept};
  }
  const std::map<std::string, TensorView>& views() const { return views_; }

 private:
  std::map<std::string, std::vector<std::uint8_t>> bytes_;
  std::map<std::string, TensorView> views_;
};

bool all_zero(const Anchor& anchor) {
  for (const LayerCalibration& layer : anchor.layers)
    for (const std::int8_t gain : layer.channel_gain)
      if (gain != 0) return false;
  return true;
}

TensorSet tensors_of(const ModelData& model) {
  TensorSet set;
  const Network& network = model.network;
  for (int l = 0; l < network.layer_count(); ++l) {
    const LayerWeights& weights = model.weights[static_cast<std::size_t>(l)];
    if (weights.stored_bits == 8) {
      set.add(layer_tensor(network, l, "codes"), "I8", weight_shape(network, l), weights.codes);
    } else {
      const std::vector<std::uint8_t> packed = pack_codes(weights.codes, weights.stored_bits);
      set.add(layer_tensor(network, l, "codes"), "U8", {static_cast<std::int64_t>(packed.size())}, packed);
    }
    const bool one = weights.form.granularity == Granularity::kTensor;
    const std::vector<float> scales = one ? std::vector<float>{weights.channel_scale.front()} : weights.channel_scale;
    set.add(layer_tensor(network, l, "scale"), "F32", {static_cast<std::int64_t>(scales.size())}, scales);
  }
  const std::int64_t filters = filter_count(network);
  for (const Anchor& anchor : model.anchors) {
    std::vector<std::int16_t> offsets;
    std::vector<std::int8_t> gains;
    for (const LayerCalibration& layer : anchor.layers) {
      offsets.insert(offsets.end(), layer.offset.begin(), layer.offset.end());
      gains.insert(gains.end(), layer.channel_gain.begin(), layer.channel_gain.end());
    }
    set.add(anchor_tensor(anchor, "offset"), "I16", {filters}, offsets);
    if (!all_zero(anchor)) set.add(anchor_tensor(anchor, "gain"), "I8", {filters}, gains);
  }
  for (const auto& [name, tensor] : model.policy.tensors)
    set.add("policy." + name, tensor.dtype.c_str(), tensor.shape, tensor.bytes);
  return set;
}

/// Hands out the tensors of a file that is read, checked against what the network wants, and remembers which were used.
class TensorReader {
 public:
  TensorReader(const SafeTensors& file, const std::string& where) : file_(file), where_(where) {}

  bool has(const std::string& name) const { return file_.tensors.count(name) != 0; }
  const TensorView& take(const std::string& name, const char* dtype, const std::vector<std::int64_t>& shape) {
    const auto found = file_.tensors.find(name);
    if (found == file_.tensors.end()) refuse("the tensor is missing", name);
    if (found->second.dtype != dtype) refuse("dtype " + found->second.dtype + " instead of " + dtype, name);
    if (found->second.shape != shape) refuse("the shape does not fit the network", name);
    used_.insert(name);
    return found->second;
  }
  void take_policy(PolicyData& policy) {
    const std::string prefix = "policy.";
    for (const auto& [name, view] : file_.tensors) {
      if (name.compare(0, prefix.size(), prefix) != 0 || used_.count(name) != 0) continue;
      policy.tensors[name.substr(prefix.size())] = {view.dtype, view.shape, {view.bytes.begin(), view.bytes.end()}};
      used_.insert(name);
    }
  }
  void finish() const {
    for (const auto& item : file_.tensors)
      if (used_.count(item.first) == 0) refuse("a tensor that belongs to nothing in this model", item.first);
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& name) const {
    throw Error(ExitCode::kData, what, where_ + ": tensor " + name, "export the model again");
  }
  const SafeTensors& file_;
  const std::string& where_;
  std::set<std::string> used_;
};

void read_weights(ModelData& model, int layer, TensorReader& tensors) {
  const Network& network = model.network;
  LayerWeights& weights = model.weights[static_cast<std::size_t>(layer)];
  const auto count = static_cast<std::uint64_t>(network.weight_count(layer));
  const std::string name = layer_tensor(network, layer, "codes");
  if (weights.stored_bits == 8) {
    weights.codes = values_of<std::int8_t>(tensors.take(name, "I8", weight_shape(network, layer)));
  } else {
    const TensorView& view =
        tensors.take(name, "U8", {static_cast<std::int64_t>(packed_size(count, weights.stored_bits))});
    weights.codes = unpack_codes(view.bytes, count, weights.stored_bits, weights.form.symmetry == Symmetry::kNoZero);
  }
  const std::int64_t out = network.layer(layer).shape.channels;
  const bool one = weights.form.granularity == Granularity::kTensor;
  weights.channel_scale = values_of<float>(tensors.take(layer_tensor(network, layer, "scale"), "F32", {one ? 1 : out}));
  if (one) weights.channel_scale.resize(static_cast<std::size_t>(out), weights.channel_scale.front());
}

void read_anchor(const Network& network, Anchor& anchor, TensorReader& tensors) {
  const std::int64_t filters = filter_count(network);
  const auto offsets = values_of<std::int16_t>(tensors.take(anchor_tensor(anchor, "offset"), "I16", {filters}));
  std::vector<std::int8_t> gains(offsets.size(), 0);
  const std::string gain_name = anchor_tensor(anchor, "gain");
  if (tensors.has(gain_name)) gains = values_of<std::int8_t>(tensors.take(gain_name, "I8", {filters}));
  std::size_t position = 0;
  for (int l = 0; l < network.layer_count(); ++l) {
    const auto out = static_cast<std::size_t>(network.layer(l).shape.channels);
    LayerCalibration& layer = anchor.layers[static_cast<std::size_t>(l)];
    layer.offset.assign(offsets.data() + position, offsets.data() + position + out);
    layer.channel_gain.assign(gains.data() + position, gains.data() + position + out);
    position += out;
  }
}

}  // namespace

ModelData parse_model(const std::string& bytes, const std::string& where) {
  const SafeTensors file = parse_safetensors(bytes, where);
  const auto metadata = file.metadata.find(kMetadataKey);
  if (metadata == file.metadata.end())
    throw Error(ExitCode::kData, "a safetensors file, but no bitpilot model (__metadata__.bitpilot is missing)", where,
                "name a file that bitpilot train or export wrote");
  ModelData model = model_from_json(metadata->second, where);
  TensorReader tensors(file, where);
  for (int l = 0; l < model.network.layer_count(); ++l) read_weights(model, l, tensors);
  for (Anchor& anchor : model.anchors) read_anchor(model.network, anchor, tensors);
  tensors.take_policy(model.policy);
  tensors.finish();
  check_model(model, where);
  return model;
}

ModelData read_model(const std::string& path) { return parse_model(read_file(path), path); }

std::string model_bytes(const ModelData& model) {
  check_model(model, "model to write");
  return safetensors_bytes({{kMetadataKey, model_to_json(model)}}, tensors_of(model).views());
}

void write_model(const ModelData& model, const std::string& path) { write_file_atomically(path, model_bytes(model)); }

ModelSizes model_sizes(const ModelData& model) {
  ModelSizes sizes;
  const TensorSet set = tensors_of(model);
  const auto starts = [](const std::string& name, const char* prefix) { return name.rfind(prefix, 0) == 0; };
  std::size_t tensors = 0;
  for (const auto& [name, view] : set.views()) {
    tensors += view.bytes.size();
    if (starts(name, "policy."))
      sizes.policy += view.bytes.size();
    else if (starts(name, "anchors."))
      sizes.calibration += view.bytes.size();
    else if (view.dtype == "F32")
      sizes.scales += view.bytes.size();
    else
      sizes.weights += view.bytes.size();
  }
  sizes.total = model_bytes(model).size();
  sizes.policy += model.policy.description.size();
  sizes.header = sizes.total - tensors - model.policy.description.size();
  for (int l = 0; l < model.network.layer_count(); ++l)
    sizes.plain_8bit += static_cast<std::size_t>(model.network.weight_count(l)) +
                        8 * static_cast<std::size_t>(model.network.layer(l).shape.channels);
  return sizes;
}

}  // namespace bitpilot
