#pragma once

#include <torch/torch.h>

#include <vector>

namespace bitpilot {

/// Fake-quantised weights with nested codes: one 8-bit step per filter, narrower codes by Double Rounding.
/// Shapes    weights [O, I, K, K] or [O, I]; log_step [O] (natural logarithm of the 8-bit step).  bits 2..8.
/// Gradient  straight-through inside the range of the `bits`-wide code, 0 outside; to log_step the learned-step-size gradient times
///           step / sqrt(row size * highest).
/// Source    Esser et al., arXiv:1902.08153; Double Rounding, arXiv:2502.01199.
torch::Tensor quantize_weights(const torch::Tensor& weights, const torch::Tensor& log_step, int bits);

/// One quantised copy of a value: log_step [1], bits 2..8, `is_signed`: codes about zero (no ReLU in front).
struct ActivationQuantizer {
  torch::Tensor log_step;
  int bits = 8;
  bool is_signed = false;
};

/// Batch statistics of a normalisation.  `mean`, `variance` [C] are the running averages; in training mode they are moved towards the
/// batch's by `momentum` (0 leaves them alone) and the batch's are used.
struct NormalizationState {
  torch::Tensor mean, variance;
  bool training = true;
  double momentum = 0.1;
};

/// What one fused step computes: { value if wanted, one quantised copy per quantizer }.
struct FusedOutputs {
  torch::Tensor value;                   ///< relu(v) or v; undefined unless `want_value`
  std::vector<torch::Tensor> quantized;  ///< in the order of the quantizers
};

/// Normalisation, residual add, ReLU and fake-quantisation in one pass:  v = (src - mean) / sqrt(variance + 1e-5) * gamma + beta (+ residual).
/// Shapes    src, residual [N, C, H, W]; gamma, beta [C].  Quantisers contain the ReLU (unsigned codes) unless signed.
/// Gradient  exact for the normalisation (through the batch's statistics in training mode), straight-through for the quantisers.
FusedOutputs normalize_quantize(const torch::Tensor& src, const torch::Tensor& gamma, const torch::Tensor& beta,
                                const NormalizationState& state, const torch::Tensor& residual, bool relu, bool want_value,
                                const std::vector<ActivationQuantizer>& quantizers);

/// Fake-quantised activations alone (for values that several paths share).
torch::Tensor quantize_activations(const torch::Tensor& src, const ActivationQuantizer& quantizer);

/// The step in {0.12 .. 1.0} * max|src| / highest (23 clip ratios) with the least squared error; logarithm.
double search_log_step(const torch::Tensor& src, int bits, bool is_signed);

}  // namespace bitpilot
