#pragma once

#include <string>
#include <vector>

#include "runtime/core/network.h"

/// The built-in backbones, as graphs.  In every Add the shortcut is the first operand and the main branch's convolution
/// the later one. `width`: channels of the first layer (person_net, mobilenet_v2: before scaling); the others scale
/// with it.
namespace bitpilot {

/// Stem 3x3, then one block each at w, 2w and 4w (the latter two halve the picture).  9.35 MMACs at 28x28x1 and
/// width 16. Source: the MLPerf Tiny image classifier, after He et al., arXiv:1512.03385.
Network resnet8(Shape input, int classes, int width = 16);
/// The same with three blocks each.  Source: He et al., arXiv:1512.03385, section 4.2 (projection shortcuts).
Network resnet20(Shape input, int classes, int width = 16);
/// Stem 7x7/2, max pool 3/2, two blocks each at w, 2w, 4w, 8w.  1 814 073 344 MACs at 224x224x3.  Source: the same,
/// table 1.
Network resnet18(Shape input, int classes, int width = 64);
/// Stem 3x3, five depthwise 3x3 + pointwise 1x1 pairs (w, 2w/2, 2w, 4w/2, 4w), Add where shapes agree.  1.16 MMACs at
/// 28x28x1.
Network ds_cnn(Shape input, int classes, int width = 16);
/// Inverted residuals with linear bottlenecks; ReLU6 is ReLU here.  300.8 MMACs at 224x224x3.  Source: Sandler et al.,
/// arXiv:1801.04381.
Network mobilenet_v2(Shape input, int classes, int width = 32);
/// Person-detection class: depthwise-separable pairs at a quarter of MobileNetV1's width, at most 0.28 M parameters at
/// 96x96. Four of its five equal pairs in the middle are left out and one more stands at the end: a filter's bias and
/// gain do not shrink with the bits, so few wide layers compress better. Source: Howard et al., arXiv:1704.04861.
Network person_net(Shape input, int classes, int width = 8);

/// Names that make_backbone knows.
const std::vector<std::string>& backbone_names();
/// `width` 0: the backbone's own.  Throws Error(kData) on an unknown name (naming the nearest) or an impossible shape.
Network make_backbone(const std::string& name, Shape input, int classes, int width = 0);

}  // namespace bitpilot
