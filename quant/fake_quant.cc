#include "quant/fake_quant.h"

#include <cmath>

#include "quant/fused_kernels.h"

namespace bitpilot {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;
using torch::autograd::Variable;

constexpr double kEpsilon = 1e-5;

Tensor channels_last(const Tensor& t) {
  return t.dim() == 4 ? t.contiguous(at::MemoryFormat::ChannelsLast) : t.contiguous();
}

std::int64_t pixels_of(const Tensor& t) { return t.numel() / t.size(1); }

struct WeightQuantizer : torch::autograd::Function<WeightQuantizer> {
  static Tensor forward(AutogradContext* ctx, const Tensor& weights, const Tensor& log_step, int64_t bits) {
    const Tensor w = weights.contiguous(), step = log_step.exp().contiguous();
    Tensor dst = torch::empty_like(w);
    const std::int64_t rows = w.size(0), count = w.numel() / rows;
    for (std::int64_t o = 0; o < rows; ++o)
      fused::nested_quantize(w.data_ptr<float>() + o * count, count, step.data_ptr<float>()[o], static_cast<int>(bits),
                             dst.data_ptr<float>() + o * count);
    ctx->save_for_backward({w, step});
    ctx->saved_data["bits"] = bits;
    return dst;
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &w = saved[0], &step = saved[1];
    const int bits = static_cast<int>(ctx->saved_data["bits"].toInt());
    const Tensor grad = grads[0].contiguous();
    Tensor grad_w = torch::empty_like(w), grad_step = torch::empty_like(step);
    const std::int64_t rows = w.size(0), count = w.numel() / rows;
    const double scale = 1.0 / std::sqrt(static_cast<double>(count) * ((1 << (bits - 1)) - 1));
    for (std::int64_t o = 0; o < rows; ++o) {
      const float s = step.data_ptr<float>()[o];
      const double g = fused::nested_quantize_backward(w.data_ptr<float>() + o * count, grad.data_ptr<float>() + o * count, count, s, bits,
                                                       grad_w.data_ptr<float>() + o * count);
      grad_step.data_ptr<float>()[o] = static_cast<float>(g * s * scale);
    }
    return {grad_w, grad_step, Tensor()};
  }
};

struct Range {
  float lowest, highest;
};

Range range_of(int bits, bool is_signed) {
  if (is_signed) return {-static_cast<float>(1 << (bits - 1)), static_cast<float>((1 << (bits - 1)) - 1)};
  return {0.0F, static_cast<float>((1 << bits) - 1)};
}

// What the fused function keeps besides tensors.
struct FusedPlan : torch::CustomClassHolder {
  bool relu = true, training = true, residual = false, value = false;
  std::vector<Range> ranges;
};

struct FusedFunction : torch::autograd::Function<FusedFunction> {
  // inputs: src, gamma, beta, mean, inverse deviation, residual or src (unused), log steps…
  static tensor_list forward(AutogradContext* ctx, at::TensorList inputs, const c10::intrusive_ptr<FusedPlan>& plan) {
    const Tensor src = channels_last(inputs[0]);
    const Tensor scale = (inputs[1] * inputs[4]).contiguous(), shift = (inputs[2] - inputs[3] * scale).contiguous();
    const Tensor residual = plan->residual ? channels_last(inputs[5]) : Tensor();
    const int count = static_cast<int>(plan->ranges.size()), channels = static_cast<int>(src.size(1));
    tensor_list results;
    Tensor value;
    if (plan->value) results.push_back(value = torch::empty_like(src));
    std::vector<fused::QuantizedOutput> outputs;
    std::vector<double> steps;
    for (int i = 0; i < count; ++i) {
      results.push_back(torch::empty_like(src));
      steps.push_back(std::exp(inputs[6 + i].item<double>()));
      outputs.push_back({static_cast<float>(steps.back()), plan->ranges[i].lowest, plan->ranges[i].highest,
                         results.back().data_ptr<float>(), nullptr, 0});
    }
    fused::affine_quantize(src.data_ptr<float>(), scale.data_ptr<float>(), shift.data_ptr<float>(),
                           plan->residual ? residual.data_ptr<float>() : nullptr, pixels_of(src), channels, plan->relu,
                           plan->value ? value.data_ptr<float>() : nullptr, outputs.data(), count);
    ctx->save_for_backward({src, inputs[1], inputs[3], inputs[4], scale, shift, plan->residual ? residual : Tensor()});
    ctx->saved_data["plan"] = torch::IValue::make_capsule(plan);
    ctx->saved_data["steps"] = steps;
    return results;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &src = saved[0], &gamma = saved[1], &mean = saved[2], &inverse = saved[3], &scale = saved[4], &shift = saved[5];
    const auto plan = c10::static_intrusive_pointer_cast<FusedPlan>(ctx->saved_data["plan"].toCapsule());
    const std::vector<double> steps = ctx->saved_data["steps"].toDoubleVector();
    const int count = static_cast<int>(steps.size()), channels = static_cast<int>(src.size(1));
    const std::int64_t pixels = pixels_of(src);
    std::vector<Tensor> kept;  // keeps contiguous copies of the gradients alive
    auto pointer = [&](const Tensor& g) -> const float* {
      if (!g.defined()) return nullptr;
      kept.push_back(channels_last(g));
      return kept.back().data_ptr<float>();
    };
    const float* value_grad = plan->value ? pointer(grads[0]) : nullptr;
    std::vector<fused::QuantizedOutput> outputs;
    for (int i = 0; i < count; ++i)
      outputs.push_back({static_cast<float>(steps[i]), plan->ranges[i].lowest, plan->ranges[i].highest, nullptr,
                         pointer(grads[i + (plan->value ? 1 : 0)]), 0});
    Tensor grad_v = torch::empty_like(src);
    std::vector<double> sum(channels), product(channels);
    fused::affine_quantize_backward(src.data_ptr<float>(), scale.data_ptr<float>(), shift.data_ptr<float>(),
                                    plan->residual ? saved[6].data_ptr<float>() : nullptr, pixels, channels, plan->relu, value_grad,
                                    outputs.data(), count, grad_v.data_ptr<float>(), sum.data(), product.data());
    tensor_list result(6 + count);
    Tensor grad_gamma = torch::empty_like(gamma), grad_beta = torch::empty_like(gamma);
    std::vector<float> a(channels), b(channels), d(channels);
    for (int c = 0; c < channels; ++c) {
      const double m = mean.data_ptr<float>()[c], r = inverse.data_ptr<float>()[c], g = gamma.data_ptr<float>()[c];
      const double normalized = (product[c] - m * sum[c]) * r;  // sum of grad_v * (src - mean) / deviation
      grad_gamma.data_ptr<float>()[c] = static_cast<float>(normalized);
      grad_beta.data_ptr<float>()[c] = static_cast<float>(sum[c]);
      const double n = plan->training ? static_cast<double>(pixels) : 0.0;
      a[c] = static_cast<float>(g * r);
      b[c] = n > 0 ? static_cast<float>(-g * r * r * normalized / n) : 0.0F;
      d[c] = n > 0 ? static_cast<float>(-g * r * sum[c] / n + g * r * r * m * normalized / n) : 0.0F;
    }
    Tensor grad_src = plan->residual ? torch::empty_like(src) : grad_v;
    fused::normalization_backward(grad_v.data_ptr<float>(), src.data_ptr<float>(), a.data(), b.data(), d.data(), pixels, channels,
                                  grad_src.data_ptr<float>());
    result[0] = grad_src;
    result[1] = grad_gamma;
    result[2] = grad_beta;
    if (plan->residual) result[5] = grad_v;
    const double per_image = static_cast<double>(src.numel());
    for (int i = 0; i < count; ++i)
      result[6 + i] = torch::full({1}, outputs[i].step_grad * steps[i] / std::sqrt(per_image * plan->ranges[i].highest));
    result.emplace_back();  // the plan
    return result;
  }
};

}  // namespace

Tensor quantize_weights(const Tensor& weights, const Tensor& log_step, int bits) {
  return WeightQuantizer::apply(weights, log_step, static_cast<int64_t>(bits));
}

FusedOutputs normalize_quantize(const Tensor& src, const Tensor& gamma, const Tensor& beta, const NormalizationState& state,
                                const Tensor& residual, bool relu, bool want_value, const std::vector<ActivationQuantizer>& quantizers) {
  Tensor mean, inverse;
  {
    torch::NoGradGuard guard;
    if (state.training) {
      const Tensor s = channels_last(src);
      mean = torch::empty({s.size(1)});
      Tensor variance = torch::empty({s.size(1)});
      fused::channel_moments(s.data_ptr<float>(), pixels_of(s), static_cast<int>(s.size(1)), mean.data_ptr<float>(),
                             variance.data_ptr<float>());
      inverse = (variance + kEpsilon).rsqrt();
      if (state.momentum > 0) {
        const double n = static_cast<double>(pixels_of(s));
        Tensor running_mean = state.mean, running_variance = state.variance;
        running_mean.lerp_(mean, state.momentum);
        running_variance.lerp_(variance * (n / std::max(1.0, n - 1.0)), state.momentum);
      }
    } else {
      mean = state.mean;
      inverse = (state.variance + kEpsilon).rsqrt();
    }
  }
  auto plan = c10::make_intrusive<FusedPlan>();
  plan->relu = relu;
  plan->training = state.training;
  plan->residual = residual.defined();
  plan->value = want_value;
  tensor_list inputs{src, gamma, beta, mean, inverse, residual.defined() ? residual : torch::empty({0})};
  for (const ActivationQuantizer& q : quantizers) {
    inputs.push_back(q.log_step);
    plan->ranges.push_back(range_of(q.bits, q.is_signed));
  }
  tensor_list results = FusedFunction::apply(at::TensorList(inputs), plan);
  FusedOutputs outputs;
  if (want_value) {
    outputs.value = results.front();
    results.erase(results.begin());
  }
  outputs.quantized = std::move(results);
  return outputs;
}

Tensor quantize_activations(const Tensor& src, const ActivationQuantizer& quantizer) {
  const Tensor one = torch::ones({src.size(1)}), zero = torch::zeros({src.size(1)});
  // Statistics of mean 0 and deviation 1: the affine part is the identity up to the normalisation's epsilon, which gamma takes out.
  const NormalizationState identity{zero, one, /*training=*/false, /*momentum=*/0};
  return normalize_quantize(src, one * std::sqrt(1.0 + kEpsilon), zero, identity, Tensor(), !quantizer.is_signed, /*want_value=*/false,
                            {quantizer})
      .quantized.front();
}

double search_log_step(const Tensor& src, int bits, bool is_signed) {
  torch::NoGradGuard guard;
  const Tensor values = src.contiguous();
  const Range range = range_of(bits, is_signed);
  const double largest = std::max(1e-6, (is_signed ? values.abs() : values.clamp_min(0)).max().item<double>());
  double best = 0, best_error = -1;
  for (int i = 0; i < 23; ++i) {
    const double step = largest * (0.12 + 0.04 * i) / range.highest;
    const Tensor quantized = (values / step).clamp(range.lowest, range.highest).round() * step;
    const Tensor target = is_signed ? values : values.clamp_min(0);
    const double error = (quantized - target).square().mean().item<double>();
    if (best_error < 0 || error < best_error) {
      best_error = error;
      best = step;
    }
  }
  return std::log(best);
}

}  // namespace bitpilot
