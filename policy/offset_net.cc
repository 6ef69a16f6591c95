#include "policy/offset_net.h"

#include <cmath>

namespace bitpilot {
namespace {

constexpr double kLeastSpread = 0.05;
constexpr int kHidden = 32;

}  // namespace

torch::Tensor random_tensor(std::vector<std::int64_t> shape, Random& random) {
  torch::Tensor u = torch::empty(shape);
  float* data = u.data_ptr<float>();
  for (std::int64_t i = 0; i < u.numel(); ++i) data[i] = static_cast<float>(random.uniform());
  return u;
}

OffsetNet::OffsetNet(std::int64_t inputs, std::int64_t layers, std::uint64_t seed) {
  Random random(seed, "offset net");
  torch::Tensor first = (random_tensor({kHidden, inputs}, random) * 2 - 1) * std::sqrt(3.0 / static_cast<double>(inputs));
  parameters = {first.requires_grad_(true), torch::zeros({kHidden}).requires_grad_(true),
                torch::zeros({2 * layers, kHidden}).requires_grad_(true), torch::zeros({2 * layers}).requires_grad_(true)};
  raw_spread = torch::full({layers, 2}, -1.5).requires_grad_(true);
}

torch::Tensor OffsetNet::offsets(const torch::Tensor& x) const {
  const torch::Tensor hidden = torch::relu(torch::addmm(parameters[1], x, parameters[0].t()));
  return torch::addmm(parameters[3], hidden, parameters[2].t()).view({x.size(0), -1, 2});
}

torch::Tensor OffsetNet::spread() const { return torch::softplus(raw_spread) + kLeastSpread; }

RealMlp OffsetNet::real() const {
  RealMlp mlp;
  for (int i = 0; i < 4; i += 2) {
    const torch::Tensor w = parameters[static_cast<std::size_t>(i)].detach().contiguous(),
                        b = parameters[static_cast<std::size_t>(i) + 1].detach().contiguous();
    mlp.push_back({static_cast<int>(w.size(1)),
                   static_cast<int>(w.size(0)),
                   {w.data_ptr<float>(), w.data_ptr<float>() + w.numel()},
                   {b.data_ptr<float>(), b.data_ptr<float>() + b.numel()}});
  }
  return mlp;
}

}  // namespace bitpilot
