#include "experiments/network_simulator.h"

namespace bitpilot {

using torch::Tensor;

Tensor NetworkSimulator::loss(const Tensor& pictures, const Tensor& labels, const Tensor& anchors, const Tensor& bits) {
  const ForwardMode evaluation{/*batch_statistics=*/false, /*momentum=*/0};
  Tensor stem;
  {
    torch::NoGradGuard guard;
    stem = network_->stem(pictures.to(torch::kFloat).div(255), evaluation);
  }
  Tensor result = torch::zeros({pictures.size(0)});
  for (int k = 0; k < static_cast<int>(network_->paths().size()); ++k) {
    const Tensor rows = (anchors == k).nonzero().flatten();
    if (rows.numel() == 0) continue;
    const Tensor scores = network_->forward_fractional(k, stem.index_select(0, rows), bits.index_select(0, rows));
    const Tensor loss = torch::nll_loss(torch::log_softmax(scores, 1), labels.index_select(0, rows), {}, at::Reduction::None);
    result = result.index_add(0, rows, loss);
  }
  return result;
}

}  // namespace bitpilot
