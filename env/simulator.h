#pragma once

#include <torch/torch.h>

namespace bitpilot {

/// The differentiable model of the environment (methods "M1"): the frozen fake-quantised network with fractional bits.
class Simulator {
 public:
  virtual ~Simulator() = default;
  /// Task loss per picture.
  /// Shapes    pictures u8 [N, C, H, W] (preprocessed codes); labels i64 [N]; anchors i64 [N]: whose active blocks and
  /// calibration hold;
  ///           bits f32 [N, L, 2] weight and activation bits of every weight layer, between the rungs where fractional:
  ///           Q_b = (1 - f) Q_lo + f Q_hi with lo = min(floor(j), K - 2), so that the gradient does not vanish on a
  ///           rung.  Or shares f32 [N, L, 2, R] of every layer's candidates, in order (R: the most of any layer): a mix of
  ///           all rungs with a gradient for each of them.
  /// Returns   f32 [N] cross-entropy, not clipped, differentiable with respect to `bits`; nothing else gets a gradient.
  virtual torch::Tensor loss(const torch::Tensor& pictures, const torch::Tensor& labels, const torch::Tensor& anchors,
                             const torch::Tensor& bits) = 0;
};

}  // namespace bitpilot
