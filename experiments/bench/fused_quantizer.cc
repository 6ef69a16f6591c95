// Normalisation, ReLU and fake-quantisation with their gradients: one fused pass against the same composed of LibTorch operations, side by
// side in one run.  Usage: bench-fused_quantizer [REPEATS]
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "quant/fake_quant.h"

namespace {

using torch::Tensor;

struct Layer {
  int channels, side;
};

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Inputs {
  Tensor src, gamma, beta, mean, variance, log_step, upstream;
  std::vector<Tensor> learned() const { return {src, gamma, beta, log_step}; }
};

Inputs inputs_of(const Layer& layer, int batch) {
  const auto channels_last = at::MemoryFormat::ChannelsLast;
  const std::vector<std::int64_t> shape{batch, layer.channels, layer.side, layer.side};
  Inputs in;
  in.src = torch::randn(shape).contiguous(channels_last).set_requires_grad(true);
  in.upstream = torch::randn(shape).contiguous(channels_last);
  in.gamma = torch::ones({layer.channels}).set_requires_grad(true);
  in.beta = torch::zeros({layer.channels}).set_requires_grad(true);
  in.mean = torch::zeros({layer.channels});
  in.variance = torch::ones({layer.channels});
  in.log_step = torch::full({1}, -1.5).set_requires_grad(true);
  return in;
}

void fused(const Inputs& in, int bits) {
  const Tensor dst = bitpilot::normalize_quantize(in.src, in.gamma, in.beta, {in.mean, in.variance, true, 0.1}, {}, true, false,
                                                  {{in.log_step, bits, false}})
                         .quantized.front();
  torch::autograd::grad({dst}, in.learned(), {in.upstream});
}

// The learned step size with the detach form of straight-through.
void composed(const Inputs& in, int bits) {
  const Tensor value = torch::relu(torch::batch_norm(in.src, in.gamma, in.beta, in.mean, in.variance, true, 0.1, 1e-5, false));
  const Tensor step = in.log_step.exp();
  const Tensor scaled = (value / step).clamp(0, (1 << bits) - 1);
  const Tensor dst = ((scaled.round() - scaled).detach() + scaled) * step;
  torch::autograd::grad({dst}, in.learned(), {in.upstream});
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::max(3, std::atoi(argv[1])) : 15;
  at::set_num_threads(1);
  std::printf("one thread, batch 128, forward and backward, median of %d interleaved runs\n", repeats);
  std::printf("%-14s %4s %12s %12s %18s\n", "layer", "bits", "fused ms", "composed ms", "ratio (10-90 %)");
  for (const Layer& layer : {Layer{16, 28}, Layer{32, 14}, Layer{64, 7}})
    for (const int bits : {2, 4, 8}) {
      const Inputs in = inputs_of(layer, 128);
      std::vector<double> fast, slow, ratio;
      for (int i = -2; i < repeats; ++i) {
        const double a = seconds([&] { fused(in, bits); }), b = seconds([&] { composed(in, bits); });
        if (i < 0) continue;  // warm-up
        fast.push_back(1e3 * a);
        slow.push_back(1e3 * b);
        ratio.push_back(b / a);
      }
      for (std::vector<double>* list : {&fast, &slow, &ratio}) std::sort(list->begin(), list->end());
      const auto at = [](const std::vector<double>& list, double q) { return list[static_cast<std::size_t>(q * (list.size() - 1))]; };
      std::printf("%3d x %2d x %2d  %4d %12.3f %12.3f %6.2f (%.2f-%.2f)\n", layer.channels, layer.side, layer.side, bits, at(fast, .5),
                  at(slow, .5), at(ratio, .5), at(ratio, .1), at(ratio, .9));
    }
}
