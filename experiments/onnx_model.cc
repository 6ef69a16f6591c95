#include "experiments/onnx_model.h"

#include <onnx/onnx_pb.h>

#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "runtime/core/error.h"
#include "runtime/core/fusion.h"
#include "runtime/engine/step_numbers.h"

namespace bitpilot {
namespace {

constexpr int kIrVersion = 7, kOpset = 13;  // per-axis DequantizeLinear came with 13

/// A graph in the making.  Names of tensors are names of nodes' outputs.
class Builder {
 public:
  explicit Builder(const std::string& name) {
    model_.set_ir_version(kIrVersion);
    model_.set_producer_name("bitpilot");
    model_.set_producer_version(BITPILOT_VERSION);
    model_.add_opset_import()->set_version(kOpset);
    graph_ = model_.mutable_graph();
    graph_->set_name(name);
  }

  static void describe(onnx::ValueInfoProto* info, const std::string& name, int type, const std::vector<std::int64_t>& shape) {
    info->set_name(name);
    onnx::TypeProto::Tensor* tensor = info->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    for (const std::int64_t size : shape) tensor->mutable_shape()->add_dim()->set_dim_value(size);
  }
  void input(const std::string& name, const Shape& shape) {
    describe(graph_->add_input(), name, onnx::TensorProto::UINT8, {1, shape.channels, shape.height, shape.width});
  }
  void output(const std::string& name, int classes) { describe(graph_->add_output(), name, onnx::TensorProto::FLOAT, {1, classes}); }

  /// Raw little-endian values, as this machine has them.
  template <class T>
  std::string constant(const std::string& name, int type, const std::vector<T>& values, const std::vector<std::int64_t>& shape) {
    onnx::TensorProto* tensor = graph_->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    for (const std::int64_t size : shape) tensor->add_dims(size);
    tensor->set_raw_data(values.data(), values.size() * sizeof(T));
    return name;
  }
  std::string number(const std::string& name, float value) { return constant<float>(name, onnx::TensorProto::FLOAT, {value}, {}); }
  std::string code(const std::string& name, int value) {
    return constant<std::uint8_t>(name, onnx::TensorProto::UINT8, {static_cast<std::uint8_t>(value)}, {});
  }

  onnx::NodeProto* node(const std::string& op, const std::vector<std::string>& inputs, const std::string& output) {
    onnx::NodeProto* node = graph_->add_node();
    node->set_op_type(op);
    node->set_name(output);
    for (const std::string& input : inputs) node->add_input(input);
    node->add_output(output);
    return node;
  }
  static void set(onnx::NodeProto* node, const std::string& name, std::int64_t value) {
    onnx::AttributeProto* attribute = node->add_attribute();
    attribute->set_name(name);
    attribute->set_type(onnx::AttributeProto::INT);
    attribute->set_i(value);
  }
  static void set(onnx::NodeProto* node, const std::string& name, const std::vector<std::int64_t>& values) {
    onnx::AttributeProto* attribute = node->add_attribute();
    attribute->set_name(name);
    attribute->set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t value : values) attribute->add_ints(value);
  }

  std::string bytes() const {
    std::string text;
    if (!model_.SerializeToString(&text)) throw Error(ExitCode::kBug, "the ONNX graph could not be written", graph_->name(), "report this");
    return text;
  }

 private:
  onnx::ModelProto model_;
  onnx::GraphProto* graph_;
};

class Exporter {
 public:
  Exporter(const ModelData& model, const BitConfig& config)
      : model_(model), network_(model.network), config_(config), steps_(fuse(network_)), values_(steps_.size()), build_(network_.name) {}

  std::string run() {
    check();
    build_.input("image", network_.input_shape());
    for (std::size_t s = 0; s < steps_.size(); ++s) add_step(s);
    build_.output("scores", network_.classes());
    return build_.bytes();
  }

 private:
  void check() const {
    for (std::size_t at = 0; at < config_.size(); ++at)
      if (config_[at].active_blocks != model_.space.layers[at].blocks)
        throw Error(ExitCode::kUsage, "this configuration leaves out filters, which an ONNX graph of the whole network cannot show", "--bits",
                    "name a configuration with all filters");
  }

  /// The value quantised to `bits` and back; readers with the same step share the nodes.
  std::string quantised(const std::string& value, float step, int zero_point, int bits) {
    const auto [found, added] = codes_.try_emplace({value, step, zero_point, bits});
    if (!added) return found->second;
    const std::string name = value + ".q" + std::to_string(codes_.size());
    const std::string scale = build_.number(name + ".scale", step), zero = build_.code(name + ".zero", zero_point);
    build_.node("QuantizeLinear", {value, scale, zero}, name);
    std::string codes = name;
    if (bits < 8) {
      codes = name + ".clipped";
      build_.node("Clip", {name, build_.code(name + ".low", 0), build_.code(name + ".high", integer::unsigned_highest(bits))}, codes);
    }
    build_.node("DequantizeLinear", {codes, scale, zero}, name + ".real");
    return found->second = name + ".real";
  }

  /// Codes of a layer around the one zero point of all its filters; those of filters with a negative scale mirrored at it, for a scale is
  /// positive here.
  std::vector<std::int8_t> weight_codes(const FoldedLayer& folded, const Node& node, int zero_point) const {
    const std::vector<std::int16_t> weights = effective_weights(folded);
    const std::size_t row = weights.size() / folded.multiplier.size();
    std::vector<std::int8_t> codes;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const int code = (folded.multiplier[i / row] < 0 ? -weights[i] : weights[i]) + zero_point;
      const bool mirrored_lowest = zero_point == 0 && code == 128;  // off by one of 256 codes
      if (!mirrored_lowest && (code < -128 || code > 127))
        throw Error(ExitCode::kUsage, "the weights of " + node.name + " do not fit int8 codes around one zero point at " + std::to_string(folded.weight_bits) + " bits",
                    "layer " + node.name, "export it at 6 bits or fewer, or a model with symmetric weights");
      codes.push_back(static_cast<std::int8_t>(std::min(127, code)));
    }
    return codes;
  }

  std::string weights(const FoldedLayer& folded, int layer, double pooled) {
    const Node& node = network_.layer(layer);
    // Codes in half steps (g = 2) have no code for 0: their doubled values are the codes.
    const int zero_point = folded.accumulator.g == 1 ? -folded.accumulator.h : 0;
    const std::vector<std::int8_t> codes = weight_codes(folded, node, zero_point);
    std::vector<float> scales, bias_scales;
    std::vector<std::int32_t> biases = folded.bias;
    const std::size_t row = codes.size() / folded.multiplier.size();
    for (std::size_t o = 0; o < folded.multiplier.size(); ++o) {
      double multiplier = folded.multiplier[o];
      if (multiplier < 0) {
        biases[o] = -biases[o];
        multiplier = -multiplier;
      }
      const double least = 1e-30;  // a filter that is constant 0 still needs a scale
      bias_scales.push_back(static_cast<float>(std::max(multiplier, least)));
      scales.push_back(static_cast<float>(std::max(multiplier * pooled / folded.input_step, least)));
    }
    const std::int64_t out = folded.active_out, in = static_cast<std::int64_t>(row) / (node.kernel * node.kernel);
    const std::vector<std::int64_t> shape = node.op == Op::kLinear ? std::vector<std::int64_t>{out, in} : std::vector<std::int64_t>{out, in, node.kernel, node.kernel};
    build_.constant(node.name + ".weight.codes", onnx::TensorProto::INT8, codes, shape);
    build_.constant(node.name + ".weight.scale", onnx::TensorProto::FLOAT, scales, {out});
    build_.constant(node.name + ".weight.zero", onnx::TensorProto::INT8, std::vector<std::int8_t>(scales.size(), static_cast<std::int8_t>(zero_point)), {out});
    Builder::set(build_.node("DequantizeLinear", {node.name + ".weight.codes", node.name + ".weight.scale", node.name + ".weight.zero"}, node.name + ".weight"), "axis", 0);
    build_.constant(node.name + ".bias.codes", onnx::TensorProto::INT32, biases, {out});
    build_.constant(node.name + ".bias.scale", onnx::TensorProto::FLOAT, bias_scales, {out});
    Builder::set(build_.node("DequantizeLinear", {node.name + ".bias.codes", node.name + ".bias.scale"}, node.name + ".bias"), "axis", 0);
    return node.name;
  }

  /// What the step's layer reads, in real numbers on its own grid, behind the source's pool.
  std::string source(const FusedStep& step, const FoldedLayer& folded, double* pooled) {
    if (step.source < 0) {
      const std::string name = "image.real";
      build_.node("DequantizeLinear", {"image", build_.number("image.scale", folded.input_step), build_.code("image.zero", folded.input_zero_point)}, name);
      return name;
    }
    const FusedStep& from = steps_[static_cast<std::size_t>(step.source)];
    const std::string value = quantised(values_[static_cast<std::size_t>(step.source)], folded.input_step, folded.input_zero_point, folded.activation_bits);
    if (from.pool_node >= 0 && network_.nodes[static_cast<std::size_t>(from.pool_node)].op == Op::kGlobalAvgPool)
      *pooled = static_cast<double>(from.value_shape.height) * from.value_shape.width;
    return behind_pool(value, from);
  }

  std::string behind_pool(const std::string& value, const FusedStep& from) {
    if (from.pool_node < 0) return value;
    const Node& pool = network_.nodes[static_cast<std::size_t>(from.pool_node)];
    const std::string name = value + ".pooled";
    if (!pooled_.insert(name).second) return name;
    if (pool.op == Op::kGlobalAvgPool) {
      build_.node("GlobalAveragePool", {value}, name);
      return name;
    }
    onnx::NodeProto* node = build_.node("MaxPool", {value}, name);
    Builder::set(node, "kernel_shape", std::vector<std::int64_t>{pool.kernel, pool.kernel});
    Builder::set(node, "strides", std::vector<std::int64_t>{pool.stride, pool.stride});
    Builder::set(node, "pads", std::vector<std::int64_t>(4, pool.padding));
    return name;
  }

  /// What an Add reads of an earlier step: its 8-bit carry, behind its pool.
  std::string carried(int step) {
    const Carry& carry = model_.carries[static_cast<std::size_t>(steps_[static_cast<std::size_t>(step)].layer)];
    return behind_pool(quantised(values_[static_cast<std::size_t>(step)], carry.step, carry.zero_point, 8), steps_[static_cast<std::size_t>(step)]);
  }

  void add_step(std::size_t s) {
    const FusedStep& step = steps_[s];
    const Node& node = network_.layer(step.layer);
    const FoldedLayer folded = fold_layer(model_, config_, step.layer);
    double pooled = 1;
    std::string src = source(step, folded, &pooled);
    const std::string name = weights(folded, step.layer, pooled);
    const bool last = s + 1 == steps_.size();
    std::string value = last ? "scores" : name + ".value";
    if (node.op == Op::kLinear) {
      build_.node("Flatten", {src}, name + ".flat");
      Builder::set(build_.node("Gemm", {name + ".flat", name + ".weight", name + ".bias"}, value), "transB", 1);
    } else {
      onnx::NodeProto* conv = build_.node("Conv", {src, name + ".weight", name + ".bias"}, value);
      Builder::set(conv, "kernel_shape", std::vector<std::int64_t>{node.kernel, node.kernel});
      Builder::set(conv, "strides", std::vector<std::int64_t>{node.stride, node.stride});
      Builder::set(conv, "pads", std::vector<std::int64_t>(4, node.padding));
      Builder::set(conv, "group", node.groups);
    }
    if (step.add_operand >= 0) {
      build_.node("Add", {carried(step.add_operand), value}, name + ".sum");
      value = name + ".sum";
    }
    if (step.relu) {
      build_.node("Relu", {value}, name + ".relu");
      value = name + ".relu";
    }
    values_[s] = value;
  }

  const ModelData& model_;
  const Network& network_;
  const BitConfig& config_;
  std::vector<FusedStep> steps_;
  std::vector<std::string> values_;  // real value of each step, before its pool
  std::map<std::tuple<std::string, float, int, int>, std::string> codes_;
  std::set<std::string> pooled_;
  Builder build_;
};

}  // namespace

std::string onnx_model(const ModelData& model, const BitConfig& config) { return Exporter(model, config).run(); }

}  // namespace bitpilot
