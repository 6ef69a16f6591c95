#pragma once

#include <cstdint>

/// Elementwise passes of training, each over memory once.  Plain C++ on raw pointers, no LibTorch; activations are NHWC ("channels last"):
/// [pixels][channels] with pixels = N * H * W.
namespace bitpilot::fused {

/// Where one quantised copy of a value goes: dst = step * rne(clamp(v / step, lowest, highest)).
struct QuantizedOutput {
  float step = 1, lowest = 0, highest = 255;
  float* dst = nullptr;          ///< forward: [pixels][channels]
  const float* grad = nullptr;   ///< backward: gradient of dst, nullptr = none
  double step_grad = 0;          ///< backward: gradient of step (Esser et al., arXiv:1902.08153)
};

/// Mean and biased variance of every channel, float sums over short runs added in double.
void channel_moments(const float* src, std::int64_t pixels, int channels, float* mean, float* variance);

/// v = src * scale[c] + shift[c] (+ residual); value (if not null) = relu ? max(v, 0) : v; then every quantised output of v.
void affine_quantize(const float* src, const float* scale, const float* shift, const float* residual, std::int64_t pixels, int channels,
                     bool relu, float* value, QuantizedOutput* outputs, int output_count);

/// Backward of affine_quantize up to v: grad_v = value_grad * [v > 0 if relu] + sum_i outputs[i].grad * [inside range]; also fills each
/// output's step_grad and per channel sums of grad_v and grad_v * src.  value_grad may be null.
void affine_quantize_backward(const float* src, const float* scale, const float* shift, const float* residual, std::int64_t pixels,
                              int channels, bool relu, const float* value_grad, QuantizedOutput* outputs, int output_count, float* grad_v,
                              double* sum_grad, double* sum_grad_src);

/// dst = a[c] * grad_v + b[c] * src + d[c]: the input gradient of a normalisation, all three coefficients per channel.  dst may be grad_v.
void normalization_backward(const float* grad_v, const float* src, const float* a, const float* b, const float* d, std::int64_t pixels,
                            int channels, float* dst);

/// Nested weight codes (Double Rounding, arXiv:2502.01199) of one row with its own 8-bit step: q8 = rne(clamp(w / step, -128, 127)),
/// q = clamp(rne(q8 / 2^(8-bits)), lowest, highest), dst = q * step * 2^(8-bits).
void nested_quantize(const float* weights, std::int64_t count, float step, int bits, float* dst);
/// Straight-through gradient to the weights inside the range, and the gradient of the 8-bit step.
double nested_quantize_backward(const float* weights, const float* grad, std::int64_t count, float step, int bits, float* grad_weights);

/// Values in [0, clip] by residual decomposition (quant/super_bits.h), with c = clamp(src / clip, 0, 1):
///   z2 = rne(3 c) / 3,  e4 = rne(15 (c - z2)) / 15,  e8 = rne(255 (c - z2 - e4)) / 255,  dst = clip * (z2 + four * (e4 + eight * e8)).
/// `four`, `eight`: 0 or 1.
struct ResidualGates {
  float clip = 1, four = 1, eight = 1;
};
/// Mean squares of what is left after two and after four bits: of c - z2 and of c - z2 - e4.
struct ResidualErrors {
  double two = 0, four = 0;
};
ResidualErrors residual_quantize(const float* src, std::int64_t count, const ResidualGates& gates, float* dst);
/// Gradients of the clip and of the gates; straight-through to src inside the range.
struct ResidualGradients {
  double clip = 0, four = 0, eight = 0;
};
ResidualGradients residual_quantize_backward(const float* src, const float* grad, std::int64_t count, const ResidualGates& gates, float* grad_src);

}  // namespace bitpilot::fused
