// The exported graph, run node by node with LibTorch's float64 operators, against the integer engine.
#include "experiments/onnx_model.h"

#define ONNX_NAMESPACE onnx
#define ONNX_ML 1
#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>
#include <torch/torch.h>

#include <map>

#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "runtime/core/random.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/random_weights.h"

using namespace bitpilot;
using torch::Tensor;

namespace {

Tensor tensor_of(const onnx::TensorProto& proto) {
  const std::vector<std::int64_t> shape(proto.dims().begin(), proto.dims().end());
  const auto type = proto.data_type() == onnx::TensorProto::FLOAT ? torch::kFloat
                    : proto.data_type() == onnx::TensorProto::INT8 ? torch::kInt8
                    : proto.data_type() == onnx::TensorProto::UINT8 ? torch::kUInt8
                                                                    : torch::kInt32;
  return torch::from_blob(const_cast<char*>(proto.raw_data().data()), shape, type).to(torch::kDouble);
}

std::vector<std::int64_t> integers(const onnx::NodeProto& node, const std::string& name, std::int64_t otherwise) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() != name) continue;
    if (attribute.type() == onnx::AttributeProto::INT) return {attribute.i()};
    return {attribute.ints().begin(), attribute.ints().end()};
  }
  return {otherwise};
}

/// Only the operators that the exporter may use; anything else fails the test.  The stem's value is put on the grid of its 8-bit code, as
/// the engine has it: the one thing that the graph leaves out.
Tensor run(const onnx::GraphProto& graph, const Tensor& image, const Carry& stem) {
  std::map<std::string, Tensor> values{{"image", image.to(torch::kDouble)}};
  for (const onnx::TensorProto& constant : graph.initializer()) values[constant.name()] = tensor_of(constant);
  for (const onnx::NodeProto& node : graph.node()) {
    std::vector<Tensor> in;
    for (const std::string& name : node.input()) {
      REQUIRE_MESSAGE(values.count(name), name);
      in.push_back(values[name]);
    }
    const std::string& op = node.op_type();
    const std::int64_t stride = integers(node, "strides", 1)[0], pad = integers(node, "pads", 0)[0];
    Tensor out;
    if (op == "QuantizeLinear") {
      out = (torch::round(in[0] / in[1]) + in[2]).clamp(0, 255);
    } else if (op == "DequantizeLinear") {
      std::vector<std::int64_t> shape(static_cast<std::size_t>(in[0].dim()), 1);
      if (in[1].dim() == 1) shape[0] = -1;
      const Tensor zero = in.size() > 2 ? in[2].reshape(in[1].dim() == 1 ? shape : std::vector<std::int64_t>{}) : torch::zeros({}, torch::kDouble);
      out = (in[0] - zero) * in[1].reshape(in[1].dim() == 1 ? shape : std::vector<std::int64_t>{});
    } else if (op == "Clip") {
      out = torch::min(torch::max(in[0], in[1]), in[2]);
    } else if (op == "Conv") {
      out = torch::conv2d(in[0], in[1], in[2], stride, pad, 1, integers(node, "group", 1)[0]);
    } else if (op == "Gemm") {
      REQUIRE(integers(node, "transB", 0)[0] == 1);
      out = torch::linear(in[0], in[1], in[2]);
    } else if (op == "Add") {
      out = in[0] + in[1];
    } else if (op == "Relu") {
      out = torch::relu(in[0]);
    } else if (op == "GlobalAveragePool") {
      out = in[0].mean({2, 3}, /*keepdim=*/true);
    } else if (op == "MaxPool") {
      out = torch::max_pool2d(in[0], integers(node, "kernel_shape", 1)[0], stride, pad);
    } else if (op == "Flatten") {
      out = in[0].flatten(1);
    } else {
      FAIL("an operator that nobody expects: ", op);
    }
    if (node.output(0) == "stem.relu") out = ((torch::round(out / stem.step) + stem.zero_point).clamp(0, 255) - stem.zero_point) * stem.step;
    values[node.output(0)] = out;
  }
  return values.at("scores");
}

/// Largest difference of the class scores over their spread, on a few random pictures.
double largest_difference(const ModelData& model, const BitConfig& config) {
  onnx::ModelProto proto;
  REQUIRE(proto.ParseFromString(onnx_model(model, config)));
  Session session(std::make_shared<const Model>(model));
  const Shape shape = model.network.input_shape();
  Random random(5, "pictures");
  double largest = 0;
  for (int picture = 0; picture < 4; ++picture) {
    const Tensor codes = torch::empty({shape.height, shape.width, shape.channels}, torch::kUInt8);  // as the engine reads them
    for (std::int64_t i = 0; i < codes.numel(); ++i) codes.data_ptr<std::uint8_t>()[i] = static_cast<std::uint8_t>(random.below(256));
    session.start({codes.data_ptr<std::uint8_t>(), static_cast<std::size_t>(codes.numel())});
    const auto scores = session.look(config);
    const Tensor ours = torch::tensor(std::vector<double>(scores.begin(), scores.end()), torch::kDouble);
    const Tensor theirs = run(proto.graph(), codes.permute({2, 0, 1}).unsqueeze(0), model.carries[0]).flatten();
    largest = std::max(largest, ((ours - theirs).abs().max() / (ours.max() - ours.min())).item<double>());
  }
  return largest;
}

}  // namespace

TEST_CASE("experiments/onnx_model: the graph computes what the engine computes, residual, depthwise and pooled networks, wide and narrow") {
  // What is left are float32 products of the engine that fall on the other side of a rounding than float64 ones: none of these few codes,
  // some of ResNet-18's half a million.
  for (const char* name : {"resnet8", "ds_cnn"}) {
    const ModelData model = random_weights(make_backbone(name, {3, 20, 20}, 7));
    CAPTURE(name);
    CHECK(largest_difference(model, uniform_config(model.space, 8, 8)) < 1e-6);
    CHECK(largest_difference(model, uniform_config(model.space, 4, 6)) < 1e-6);
    CHECK(largest_difference(model, uniform_config(model.space, 2, 2)) < 1e-6);
  }
  const ModelData pooled = random_weights(make_backbone("resnet18", {3, 64, 64}, 7));
  CHECK(largest_difference(pooled, uniform_config(pooled.space, 8, 8)) < 0.02);
}

TEST_CASE("experiments/onnx_model: weights of every Form keep their zero point and compute what the engine computes") {
  struct Case {
    Symmetry symmetry;
    int bits, zero_point;
  };
  // Codes of one width, as Forms are stored; some filters' scales are negative, as folding a normalisation can leave them.
  for (const Case& of : {Case{Symmetry::kAsymmetric, 3, 2}, Case{Symmetry::kAsymmetric, 6, -31}, Case{Symmetry::kAsymmetric, 2, -1}, Case{Symmetry::kBinMiddle, 4, 0},
                         Case{Symmetry::kSymmetric, 4, 0}}) {
    ModelData model = random_weights(make_backbone("resnet8", {3, 20, 20}, 7));
    const BitConfig config = uniform_config(model.space, of.bits, 6);
    model.anchors = {model.anchors.front()};
    model.anchors.front().config = config;
    for (std::size_t l = 0; l < model.weights.size(); ++l) {
      if (model.network.fixed(static_cast<int>(l))) continue;
      LayerCalibration& calibration = model.anchors.front().layers[l];
      calibration.input_step = 1.0F / static_cast<float>(integer::unsigned_highest(6));
      if (calibration.input_zero_point != 0) calibration.input_zero_point = 32;
      LayerWeights& layer = model.weights[l];
      layer.form = {Granularity::kChannel, of.symmetry};
      layer.stored_bits = of.bits;
      layer.zero_point = of.zero_point;
      for (std::int8_t& code : layer.codes) code = static_cast<std::int8_t>(integer::nested_code(code, of.bits));
      for (std::size_t o = 0; o < layer.channel_scale.size(); ++o) layer.channel_scale[o] *= (o % 3 == 1 ? -1.0F : 1.0F) * static_cast<float>(1 << (8 - of.bits));
    }
    CAPTURE(static_cast<int>(of.symmetry));
    CAPTURE(of.bits);
    CHECK(largest_difference(model, config) < 1e-6);
    onnx::ModelProto proto;
    REQUIRE(proto.ParseFromString(onnx_model(model, config)));
    for (const onnx::TensorProto& tensor : proto.graph().initializer())
      if (tensor.name() == "block1.conv1.weight.zero") CHECK(tensor_of(tensor).eq(of.zero_point).all().item<bool>());
  }
}

TEST_CASE("experiments/onnx_model: weights too far from their zero point for int8 are refused, naming layer and bits") {
  ModelData model = random_weights(make_backbone("resnet8", {3, 20, 20}, 7));
  for (std::size_t l = 0; l < model.weights.size(); ++l) model.weights[l].form.symmetry = model.network.fixed(static_cast<int>(l)) ? Symmetry::kSymmetric : Symmetry::kAsymmetric;
  LayerWeights& layer = model.weights[3];
  layer.zero_point = 100;
  const BitConfig config = uniform_config(model.space, 8, 8);
  CHECK(largest_difference(model, config) < 1e-6);
  layer.channel_scale[2] *= -1;  // mirrored at 100, a code of -100 is 300
  try {
    onnx_model(model, config);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kUsage);
    const std::string text = error.what();
    for (const std::string& word : {model.network.layer(3).name, std::string("8 bits"), std::string("symmetric weights")}) CHECK(text.find(word) != std::string::npos);
  }
}

TEST_CASE("experiments/onnx_model: a wrong code, bias or scale would show") {
  ModelData model = random_weights(make_backbone("resnet8", {3, 20, 20}, 7));
  const BitConfig config = uniform_config(model.space, 8, 8);
  onnx::ModelProto proto;
  REQUIRE(proto.ParseFromString(onnx_model(model, config)));
  const Tensor image = torch::randint(0, 256, {1, 3, 20, 20});
  const Tensor before = run(proto.graph(), image, model.carries[0]);
  for (const char* changed : {"block1.conv1.weight.codes", "block2.conv2.bias.codes", "block3.shortcut.weight.scale", "block2.conv1.weight.zero"}) {
    onnx::GraphProto graph = proto.graph();
    for (onnx::TensorProto& tensor : *graph.mutable_initializer())
      if (tensor.name() == changed) {
        std::string bytes = tensor.raw_data();
        for (std::size_t i = 1; i < bytes.size(); i += 4) bytes[i] = static_cast<char>(bytes[i] ^ 0x40);
        tensor.set_raw_data(bytes);
      }
    CAPTURE(changed);
    CHECK((run(graph, image, model.carries[0]) - before).abs().max().item<double>() > 1e-4);
  }
}

TEST_CASE("experiments/onnx_model: left-out filters are refused") {
  const ModelData model = random_weights(make_backbone("resnet8", {3, 20, 20}, 7));
  try {
    onnx_model(model, uniform_config(model.space, 8, 8, 0.5));
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kUsage);
  }
}
