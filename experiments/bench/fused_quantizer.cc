// Normalisation, ReLU and fake-quantisation with their gradients: one fused pass against the same composed of LibTorch operations, side by
// side in one run: one bitpilot.fused_quantizer/1 record a layer shape and bit-width, as a JSON list.  Usage: bench-fused_quantizer [REPEATS]
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "quant/fake_quant.h"

namespace {

using torch::Tensor;

constexpr int kBatch = 128;

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
  nlohmann::ordered_json records = nlohmann::ordered_json::array();
  for (const Layer& layer : {Layer{16, 28}, Layer{32, 14}, Layer{64, 7}})
    for (const int bits : {2, 4, 8}) {
      const Inputs in = inputs_of(layer, kBatch);
      std::vector<double> fast, slow, ratio;
      for (int i = -2; i < repeats; ++i) {
        const double a = seconds([&] { fused(in, bits); }), b = seconds([&] { composed(in, bits); });
        if (i < 0) continue;  // warm-up
        fast.push_back(1e3 * a);
        slow.push_back(1e3 * b);
        ratio.push_back(b / a);
      }
      for (std::vector<double>* list : {&fast, &slow, &ratio}) std::sort(list->begin(), list->end());
      const auto at = [](const std::vector<double>& list, double q) { return list[static_cast<std::size_t>(q * static_cast<double>(list.size() - 1))]; };
      const std::string shape = std::to_string(layer.channels) + " x " + std::to_string(layer.side) + " x " + std::to_string(layer.side);
      records.push_back({{"schema", "bitpilot.fused_quantizer/1"}, {"experiment", "fused_quantizer"}, {"layer", shape}, {"bits", bits}, {"batch", kBatch},
                         {"threads", 1}, {"repeats", repeats}, {"fused_ms", at(fast, .5)}, {"composed_ms", at(slow, .5)},
                         {"composed_over_fused", {{"median", at(ratio, .5)}, {"p10_p90", {at(ratio, .1), at(ratio, .9)}}}}});
    }
  std::printf("%s\n", records.dump(1).c_str());
}
