#include "quant/integer_evaluation.h"

#include <torch/torch.h>

#include "runtime/core/fusion.h"
#include "runtime/core/integer.h"

namespace bitpilot {
namespace {

using torch::Tensor;

/// Codes of one stored value, u8 values held in float64 [N, C, H, W].
struct Stored {
  Tensor codes;
  int bits = 8;
};

/// Evaluates one configuration on one batch, step by step.
class Evaluator {
 public:
  Evaluator(const ModelData& model, const BitConfig& config, IntegerMutation mutation)
      : model_(model), mutation_(mutation), steps_(fuse(model.network)) {
    check_config(model.network, model.space, config);
    for (const FusedStep& step : steps_) layers_.push_back(fold_layer(model, config, step.layer));
    if (mutation == IntegerMutation::kNormalisationNotFolded) drop_gains(config);
  }

  void run(const Tensor& images) {
    input_ = images;
    carries_.resize(steps_.size());
    read_by_.resize(steps_.size());
    for (const FusedStep& step : steps_) run_step(step);
  }

  Tensor scores() const { return scores_; }

  std::vector<CodeTrace> trace(std::int64_t image) const {
    std::vector<CodeTrace> traces;
    const auto add = [&](int step, int reader, const Stored& stored) {
      const Tensor bytes = stored.codes[image].to(torch::kUInt8).contiguous();
      const auto* first = bytes.data_ptr<std::uint8_t>();
      traces.push_back({step, reader, stored.bits, {first, first + bytes.numel()}});
    };
    for (const FusedStep& step : steps_) {
      if (step.carry) add(step.layer, -1, carries_[at(step.layer)]);
      for (const int reader : step.readers) add(step.layer, reader, read_by_[at(reader)]);
    }
    return traces;
  }

 private:
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }
  const Node& node(int index) const { return model_.network.nodes[at(index)]; }
  const FoldedLayer& folded(int layer) const { return layers_[at(layer)]; }

  void drop_gains(const BitConfig& config) {
    for (const FusedStep& step : steps_) {
      const LayerCalibration& used = *choose_calibration(model_, config, step.layer).calibration;
      FoldedLayer& layer = layers_[at(step.layer)];
      for (std::size_t o = 0; o < layer.multiplier.size(); ++o)
        layer.multiplier[o] /= static_cast<double>(used.gain) * std::exp2(used.channel_gain[o] / 64.0);
    }
  }

  Tensor round(const Tensor& value) const {
    return mutation_ == IntegerMutation::kRoundHalfUp ? torch::floor(value + 0.5) : torch::round(value);
  }

  /// clamp(rne(value) + zero_point, 0, 2^bits - 1), value float32 in units of the code.
  Stored code(const Tensor& value, int zero_point, int bits) const {
    const Tensor shifted = round(value.clamp(-65536.0, 65536.0)) + static_cast<double>(zero_point);
    return {shifted.clamp(0.0, static_cast<double>(integer::unsigned_highest(bits))).to(torch::kFloat64), bits};
  }

  static Tensor floats(const std::vector<double>& values) {
    return torch::tensor(values, torch::kFloat64).to(torch::kFloat32).view({1, -1, 1, 1});
  }
  static Tensor times(const Tensor& value, double factor) { return value * floats({factor}); }

  /// acc = g * sum((q - z) * w) + h * sum(q - z) of a layer, exact in float64, [N, C, H, W].
  Tensor accumulate(const FusedStep& step) const {
    const FoldedLayer& layer = folded(step.layer);
    const Node& conv = node(step.conv_node);
    Tensor codes = step.source < 0 ? input_ : read_by_[at(step.layer)].codes;
    const double zero = layer.input_zero_point;
    const double subtracted = zero + (mutation_ == IntegerMutation::kZeroPointOffByOne && step.layer > 0 ? 1 : 0);
    const std::int64_t out = layer.active_out, groups = conv.groups > 1 ? out : 1;
    const Tensor weights = torch::tensor(std::vector<double>(layer.codes.begin(), layer.codes.end()), torch::kFloat64);
    if (conv.op == Op::kLinear) {
      const Tensor sums =
          (codes - subtracted).sum({2, 3});  // over the pixels of a global average pool, or the one pixel
      const Tensor matrix = weights.view({out, -1});
      const Tensor plain = torch::mm(sums, matrix.t()), ones = sums.sum(1, /*keepdim=*/true);
      return (plain * layer.accumulator.g + ones * layer.accumulator.h).unsqueeze(2).unsqueeze(3);
    }
    const std::int64_t pad = conv.padding;
    codes =
        torch::constant_pad_nd(codes, {pad, pad, pad, pad}, mutation_ == IntegerMutation::kPaddedWithZero ? 0.0 : zero);
    const Tensor shifted = codes - subtracted;
    const Tensor kernels = weights.view({out, -1, conv.kernel, conv.kernel});
    const auto options = torch::nn::functional::Conv2dFuncOptions().stride(conv.stride).groups(groups);
    const Tensor plain = torch::nn::functional::conv2d(shifted, kernels, options);
    const Tensor ones = torch::nn::functional::conv2d(shifted, torch::ones_like(kernels), options);
    return plain * layer.accumulator.g + ones * layer.accumulator.h;
  }

  /// A pool behind a step acts on codes: pixels outside count as code 0.
  Stored pooled(const Stored& stored, const FusedStep& step) const {
    if (step.pool_node < 0 || node(step.pool_node).op != Op::kMaxPool) return stored;
    const Node& pool = node(step.pool_node);
    const std::int64_t pad = pool.padding;
    const Tensor padded = torch::constant_pad_nd(stored.codes, {pad, pad, pad, pad}, 0.0);
    return {torch::max_pool2d(padded, {pool.kernel, pool.kernel}, {pool.stride, pool.stride}), stored.bits};
  }

  Stored for_reader(const Stored& stored, int reader) const {
    return {stored.codes.narrow(1, 0, folded(reader).active_in), stored.bits};
  }

  void run_stem(const FusedStep& step, const Tensor& biased) {
    const Carry& carry = model_.carries[0];
    std::vector<double> multiplier = folded(0).multiplier;
    for (double& m : multiplier) m /= static_cast<double>(carry.step);
    const Stored code8 = pooled(code(biased * floats(multiplier), carry.zero_point, 8), step);
    carries_[0] = code8;
    for (const int reader : step.readers) {
      const FoldedLayer& wanted = folded(reader);
      const double ratio = static_cast<double>(carry.step) / static_cast<double>(wanted.input_step);
      const Tensor value = times((code8.codes - static_cast<double>(carry.zero_point)).to(torch::kFloat32), ratio);
      read_by_[at(reader)] = for_reader(code(value, wanted.input_zero_point, wanted.activation_bits), reader);
    }
  }

  /// Outputs are told apart by what they are made of: (bits, step, zero point).
  bool single_output(const FusedStep& step) const {
    if (step.add_operand >= 0) return false;
    if (step.carry) return step.readers.empty();
    const auto key = [&](int reader) {
      return std::make_tuple(folded(reader).activation_bits, folded(reader).input_step,
                             folded(reader).input_zero_point);
    };
    for (const int reader : step.readers)
      if (key(reader) != key(step.readers.front())) return false;
    return true;
  }

  /// The only output: one product straight into units of its code.
  void run_single(const FusedStep& step, const Tensor& biased) {
    const bool carried = step.carry;
    const Carry& carry = model_.carries[at(step.layer)];
    const FoldedLayer* wanted = carried ? nullptr : &folded(step.readers.front());
    std::vector<double> multiplier = folded(step.layer).multiplier;
    for (double& m : multiplier) m /= static_cast<double>(carried ? carry.step : wanted->input_step);
    const Tensor value = biased * floats(multiplier);
    const Stored stored = pooled(
        carried ? code(value, carry.zero_point, 8) : code(value, wanted->input_zero_point, wanted->activation_bits),
        step);
    if (carried) carries_[at(step.layer)] = stored;
    for (const int reader : step.readers) read_by_[at(reader)] = for_reader(stored, reader);
  }

  void run_step(const FusedStep& step) {
    const FoldedLayer& layer = folded(step.layer);
    const Tensor bias = torch::tensor(std::vector<double>(layer.bias.begin(), layer.bias.end()), torch::kFloat64);
    const Tensor biased = (accumulate(step) + bias.view({1, -1, 1, 1})).to(torch::kFloat32);
    if (step.layer == 0) return run_stem(step, biased);
    if (step.readers.empty() && !step.carry) {
      scores_ = (biased * floats(layer.multiplier)).flatten(1);
      return;
    }
    if (single_output(step)) return run_single(step, biased);
    Tensor value = biased * floats(layer.multiplier);
    if (step.add_operand >= 0) value = value + residual(step);
    if (step.carry) {
      const Carry& carry = model_.carries[at(step.layer)];
      carries_[at(step.layer)] =
          pooled(code(times(value, 1.0 / static_cast<double>(carry.step)), carry.zero_point, 8), step);
    }
    for (const int reader : step.readers) {
      const FoldedLayer& wanted = folded(reader);
      const Tensor units = times(value, 1.0 / static_cast<double>(wanted.input_step));
      read_by_[at(reader)] =
          for_reader(pooled(code(units, wanted.input_zero_point, wanted.activation_bits), step), reader);
    }
  }

  Tensor residual(const FusedStep& step) const {
    const Carry& carry = model_.carries[at(step.add_operand)];
    const Tensor codes = carries_[at(step.add_operand)].codes.narrow(1, 0, folded(step.layer).active_out);
    return times((codes - static_cast<double>(carry.zero_point)).to(torch::kFloat32), static_cast<double>(carry.step));
  }

  const ModelData& model_;
  IntegerMutation mutation_;
  std::vector<FusedStep> steps_;
  std::vector<FoldedLayer> layers_;
  Tensor input_, scores_;
  std::vector<Stored> carries_, read_by_;  // by step; by layer that reads
};

}  // namespace

IntegerEvaluation evaluate_integer(const ModelData& model, const BitConfig& config, std::span<const std::uint8_t> codes,
                                   bool with_traces, IntegerMutation mutation) {
  const torch::NoGradGuard no_gradients;
  const Shape shape = model.network.input_shape();
  const std::int64_t pixels = static_cast<std::int64_t>(shape.channels) * shape.height * shape.width;
  const std::int64_t images = static_cast<std::int64_t>(codes.size()) / pixels;
  // from_blob wants a mutable pointer; the tensor is only read.
  const Tensor bytes = torch::from_blob(const_cast<std::uint8_t*>(codes.data()),
                                        {images, shape.height, shape.width, shape.channels}, torch::kUInt8);
  Evaluator evaluator(model, config, mutation);
  evaluator.run(bytes.permute({0, 3, 1, 2}).to(torch::kFloat64).contiguous());
  IntegerEvaluation result;
  const Tensor scores = evaluator.scores().contiguous();
  for (std::int64_t i = 0; i < images; ++i) {
    const auto* first = scores[i].data_ptr<float>();
    result.scores.emplace_back(first, first + scores.size(1));
    if (with_traces) result.traces.push_back(evaluator.trace(i));
  }
  return result;
}

}  // namespace bitpilot
