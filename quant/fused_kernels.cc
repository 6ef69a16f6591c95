#include "quant/fused_kernels.h"

#include <algorithm>
#include <cmath>
#include <vector>

// One clone per ISA, chosen by the loader: training need not give the same floats on every machine, only inference must.
#define BITPILOT_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))

namespace bitpilot::fused {
namespace {

constexpr std::int64_t kRun = 256;  // pixels summed in float before the sum goes to double

inline float clamped(float value, float lowest, float highest) {
  value = value < lowest ? lowest : value;
  return value > highest ? highest : value;
}

BITPILOT_CLONES void moments_run(const float* src, std::int64_t pixels, int channels, const float* centre, float* sum, float* square) {
  for (std::int64_t p = 0; p < pixels; ++p, src += channels)
    for (int c = 0; c < channels; ++c) {
      const float d = src[c] - centre[c];
      sum[c] += d;
      square[c] += d * d;
    }
}

BITPILOT_CLONES void affine_run(const float* src, const float* scale, const float* shift, const float* residual, std::int64_t pixels,
                                int channels, float* v) {
  if (residual != nullptr) {
    for (std::int64_t p = 0; p < pixels; ++p, src += channels, residual += channels, v += channels)
      for (int c = 0; c < channels; ++c) v[c] = src[c] * scale[c] + shift[c] + residual[c];
  } else {
    for (std::int64_t p = 0; p < pixels; ++p, src += channels, v += channels)
      for (int c = 0; c < channels; ++c) v[c] = src[c] * scale[c] + shift[c];
  }
}

BITPILOT_CLONES void quantize_run(const float* v, std::int64_t count, float inverse, float lowest, float highest, float step, float* dst) {
  for (std::int64_t i = 0; i < count; ++i) dst[i] = std::nearbyint(clamped(v[i] * inverse, lowest, highest)) * step;
}

BITPILOT_CLONES void relu_run(const float* v, std::int64_t count, float* dst) {
  for (std::int64_t i = 0; i < count; ++i) dst[i] = v[i] > 0 ? v[i] : 0;
}

BITPILOT_CLONES void value_grad_run(const float* v, const float* grad, std::int64_t count, bool relu, float* grad_v) {
  for (std::int64_t i = 0; i < count; ++i) grad_v[i] = (!relu || v[i] > 0) ? grad[i] : 0;
}

// Adds the output's gradient to grad_v; the step's gradient is summed per lane so that the loop vectorises in a fixed order.
BITPILOT_CLONES double quantize_grad_run(const float* v, const float* grad, std::int64_t count, float inverse, float lowest, float highest,
                                         float* grad_v) {
  constexpr int kLanes = 32;
  float lanes[kLanes] = {};
  const std::int64_t whole = count / kLanes * kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes)
    for (int j = 0; j < kLanes; ++j) {
      const float u = v[i + j] * inverse;
      const float c = clamped(u, lowest, highest);
      const float inside = u == c ? 1.0F : 0.0F;
      lanes[j] += grad[i + j] * (std::nearbyint(c) - inside * u);
      grad_v[i + j] += grad[i + j] * inside;
    }
  double sum = 0;
  for (int j = 0; j < kLanes; ++j) sum += lanes[j];
  for (std::int64_t i = whole; i < count; ++i) {
    const float u = v[i] * inverse;
    const float c = clamped(u, lowest, highest);
    const float inside = u == c ? 1.0F : 0.0F;
    sum += grad[i] * (std::nearbyint(c) - inside * u);
    grad_v[i] += grad[i] * inside;
  }
  return sum;
}

BITPILOT_CLONES void grad_sums_run(const float* grad_v, const float* src, std::int64_t pixels, int channels, float* sum, float* product) {
  for (std::int64_t p = 0; p < pixels; ++p, src += channels, grad_v += channels)
    for (int c = 0; c < channels; ++c) {
      sum[c] += grad_v[c];
      product[c] += grad_v[c] * src[c];
    }
}

BITPILOT_CLONES void normalization_backward_run(const float* grad_v, const float* src, const float* a, const float* b, const float* d,
                                                std::int64_t pixels, int channels, float* dst) {
  for (std::int64_t p = 0; p < pixels; ++p, src += channels, grad_v += channels, dst += channels)
    for (int c = 0; c < channels; ++c) dst[c] = a[c] * grad_v[c] + b[c] * src[c] + d[c];
}

BITPILOT_CLONES void nested_row(const float* weights, std::int64_t count, float inverse, float down, float lowest, float highest,
                                float wide_step, float* dst) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float stored = std::nearbyint(clamped(weights[i] * inverse, -128.0F, 127.0F));
    dst[i] = clamped(std::nearbyint(stored * down), lowest, highest) * wide_step;
  }
}

constexpr std::int64_t kResidualRun = 8192;  // elements summed in float, lane by lane, before the sum goes to double
constexpr int kResidualLanes = 32;

// What two bits keep of c, and what four and eight add to it.
struct Parts {
  float two, four, eight;
};
inline Parts parts_of(float c) {
  const float two = std::nearbyint(c * 3.0F) * (1.0F / 3.0F), rest = c - two;
  const float four = std::nearbyint(rest * 15.0F) * (1.0F / 15.0F);
  return {two, four, std::nearbyint((rest - four) * 255.0F) * (1.0F / 255.0F)};
}

struct ResidualLanes {
  float two[kResidualLanes] = {}, four[kResidualLanes] = {};
};
inline void residual_value(const float* src, std::int64_t i, int lane, float inverse, const ResidualGates& gates, float* dst, ResidualLanes* sum) {
  const float c = clamped(src[i] * inverse, 0.0F, 1.0F);
  const Parts p = parts_of(c);
  const float after_two = c - p.two, after_four = after_two - p.four;
  sum->two[lane] += after_two * after_two;
  sum->four[lane] += after_four * after_four;
  dst[i] = gates.clip * (p.two + gates.four * (p.four + gates.eight * p.eight));
}

BITPILOT_CLONES void residual_run(const float* src, std::int64_t count, ResidualGates gates, float* dst, ResidualErrors* sum) {
  const float inverse = 1.0F / gates.clip;
  ResidualLanes lanes;
  const std::int64_t whole = count / kResidualLanes * kResidualLanes;
  for (std::int64_t i = 0; i < whole; i += kResidualLanes)
    for (int j = 0; j < kResidualLanes; ++j) residual_value(src, i + j, j, inverse, gates, dst, &lanes);
  for (std::int64_t i = whole; i < count; ++i) residual_value(src, i, 0, inverse, gates, dst, &lanes);
  for (int j = 0; j < kResidualLanes; ++j) {
    sum->two += lanes.two[j];
    sum->four += lanes.four[j];
  }
}

struct ResidualGradientLanes {
  float clip[kResidualLanes] = {}, four[kResidualLanes] = {}, eight[kResidualLanes] = {};
};
inline void residual_grad_value(const float* src, const float* grad, std::int64_t i, int lane, float inverse, const ResidualGates& gates,
                                float* grad_src, ResidualGradientLanes* sum) {
  const float u = src[i] * inverse, c = clamped(u, 0.0F, 1.0F), inside = u == c ? 1.0F : 0.0F, g = grad[i];
  const Parts p = parts_of(c);
  const float added = p.four + gates.eight * p.eight;
  sum->clip[lane] += g * (p.two + gates.four * added - inside * u);
  sum->four[lane] += g * added;
  sum->eight[lane] += g * p.eight;
  grad_src[i] = g * inside;
}

BITPILOT_CLONES void residual_grad_run(const float* src, const float* grad, std::int64_t count, ResidualGates gates, float* grad_src,
                                       ResidualGradients* sum) {
  const float inverse = 1.0F / gates.clip;
  ResidualGradientLanes lanes;
  const std::int64_t whole = count / kResidualLanes * kResidualLanes;
  for (std::int64_t i = 0; i < whole; i += kResidualLanes)
    for (int j = 0; j < kResidualLanes; ++j) residual_grad_value(src, grad, i + j, j, inverse, gates, grad_src, &lanes);
  for (std::int64_t i = whole; i < count; ++i) residual_grad_value(src, grad, i, 0, inverse, gates, grad_src, &lanes);
  for (int j = 0; j < kResidualLanes; ++j) {
    sum->clip += lanes.clip[j];
    sum->four += lanes.four[j];
    sum->eight += lanes.eight[j];
  }
}

}  // namespace

void channel_moments(const float* src, std::int64_t pixels, int channels, float* mean, float* variance) {
  // Sums are taken about the first pixel, which keeps the difference of squares well conditioned.
  const std::vector<float> centre(src, src + channels);
  std::vector<double> sum(channels, 0.0), square(channels, 0.0);
  std::vector<float> run_sum(channels), run_square(channels);
  for (std::int64_t p = 0; p < pixels; p += kRun) {
    std::fill(run_sum.begin(), run_sum.end(), 0.0F);
    std::fill(run_square.begin(), run_square.end(), 0.0F);
    moments_run(src + p * channels, std::min(kRun, pixels - p), channels, centre.data(), run_sum.data(), run_square.data());
    for (int c = 0; c < channels; ++c) {
      sum[c] += run_sum[c];
      square[c] += run_square[c];
    }
  }
  for (int c = 0; c < channels; ++c) {
    const double m = sum[c] / static_cast<double>(pixels);
    mean[c] = static_cast<float>(m + centre[c]);
    variance[c] = static_cast<float>(std::max(0.0, square[c] / static_cast<double>(pixels) - m * m));
  }
}

void affine_quantize(const float* src, const float* scale, const float* shift, const float* residual, std::int64_t pixels, int channels,
                     bool relu, float* value, QuantizedOutput* outputs, int output_count) {
  std::vector<float> v(static_cast<std::size_t>(kRun * channels));
  for (std::int64_t p = 0; p < pixels; p += kRun) {
    const std::int64_t offset = p * channels, run = std::min(kRun, pixels - p), count = run * channels;
    affine_run(src + offset, scale, shift, residual ? residual + offset : nullptr, run, channels, v.data());
    if (value != nullptr) {
      if (relu) relu_run(v.data(), count, value + offset);
      else std::copy_n(v.data(), count, value + offset);
    }
    for (int i = 0; i < output_count; ++i) {
      const QuantizedOutput& out = outputs[i];
      quantize_run(v.data(), count, 1.0F / out.step, out.lowest, out.highest, out.step, out.dst + offset);
    }
  }
}

void affine_quantize_backward(const float* src, const float* scale, const float* shift, const float* residual, std::int64_t pixels,
                              int channels, bool relu, const float* value_grad, QuantizedOutput* outputs, int output_count, float* grad_v,
                              double* sum_grad, double* sum_grad_src) {
  std::vector<float> v(static_cast<std::size_t>(kRun * channels)), run_sum(channels), run_product(channels);
  std::fill(sum_grad, sum_grad + channels, 0.0);
  std::fill(sum_grad_src, sum_grad_src + channels, 0.0);
  for (int i = 0; i < output_count; ++i) outputs[i].step_grad = 0;
  for (std::int64_t p = 0; p < pixels; p += kRun) {
    const std::int64_t offset = p * channels, run = std::min(kRun, pixels - p), count = run * channels;
    affine_run(src + offset, scale, shift, residual ? residual + offset : nullptr, run, channels, v.data());
    if (value_grad != nullptr) value_grad_run(v.data(), value_grad + offset, count, relu, grad_v + offset);
    else std::fill_n(grad_v + offset, count, 0.0F);
    for (int i = 0; i < output_count; ++i) {
      QuantizedOutput& out = outputs[i];
      if (out.grad == nullptr) continue;
      out.step_grad += quantize_grad_run(v.data(), out.grad + offset, count, 1.0F / out.step, out.lowest, out.highest, grad_v + offset);
    }
    std::fill(run_sum.begin(), run_sum.end(), 0.0F);
    std::fill(run_product.begin(), run_product.end(), 0.0F);
    grad_sums_run(grad_v + offset, src + offset, run, channels, run_sum.data(), run_product.data());
    for (int c = 0; c < channels; ++c) {
      sum_grad[c] += run_sum[c];
      sum_grad_src[c] += run_product[c];
    }
  }
}

void normalization_backward(const float* grad_v, const float* src, const float* a, const float* b, const float* d, std::int64_t pixels,
                            int channels, float* dst) {
  normalization_backward_run(grad_v, src, a, b, d, pixels, channels, dst);
}

void nested_quantize(const float* weights, std::int64_t count, float step, int bits, float* dst) {
  const float wide = static_cast<float>(1 << (8 - bits)), half = static_cast<float>(1 << (bits - 1));
  nested_row(weights, count, 1.0F / step, 1.0F / wide, -half, half - 1.0F, step * wide, dst);
}

double nested_quantize_backward(const float* weights, const float* grad, std::int64_t count, float step, int bits, float* grad_weights) {
  const float wide = static_cast<float>(1 << (8 - bits)), half = static_cast<float>(1 << (bits - 1));
  const float lowest = -half, highest = half - 1.0F, inverse = 1.0F / step;
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float u = weights[i] * inverse / wide;
    const bool inside = u >= lowest && u <= highest;
    const float stored = std::nearbyint(clamped(weights[i] * inverse, -128.0F, 127.0F));
    const float q = clamped(std::nearbyint(stored / wide), lowest, highest);
    sum += grad[i] * (inside ? q - u : q);
    grad_weights[i] = inside ? grad[i] : 0.0F;
  }
  return sum * wide;
}

ResidualErrors residual_quantize(const float* src, std::int64_t count, const ResidualGates& gates, float* dst) {
  ResidualErrors errors;
  for (std::int64_t i = 0; i < count; i += kResidualRun) residual_run(src + i, std::min(kResidualRun, count - i), gates, dst + i, &errors);
  errors.two /= static_cast<double>(count);
  errors.four /= static_cast<double>(count);
  return errors;
}

ResidualGradients residual_quantize_backward(const float* src, const float* grad, std::int64_t count, const ResidualGates& gates,
                                             float* grad_src) {
  ResidualGradients sum;
  for (std::int64_t i = 0; i < count; i += kResidualRun)
    residual_grad_run(src + i, grad + i, std::min(kResidualRun, count - i), gates, grad_src + i, &sum);
  sum.four *= static_cast<double>(gates.clip);
  sum.eight *= static_cast<double>(gates.clip * gates.four);
  return sum;
}

}  // namespace bitpilot::fused
