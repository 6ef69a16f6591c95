// Fully connected layers with weights of 8, 4 and 2 bits a place, in turns: near (the layer ran just before) and far (64 MB were read in
// between, as the other layers of a large network do).  No arguments.
#include <chrono>
#include <cstdio>
#include <numeric>

#include "runtime/core/random.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/packing.h"
#include "runtime/samples.h"

using namespace bitpilot;

namespace {

using Clock = std::chrono::steady_clock;
using Format = Packing::Format;
constexpr Format kFormats[] = {Format::kBytes, Format::kInt4, Format::kInt2};

struct Layer {
  int in, out;
};

/// Microseconds of linear(), [format][near, far].
void time_layer(const Kernels& kernels, const Layer& layer, Samples (&times)[3][2]) {
  Random random(1, "weights");
  EffectiveWeights weights{layer.out, layer.in, 1, false, {}};
  for (int i = 0; i < layer.in * layer.out; ++i)
    weights.values.push_back(static_cast<std::int16_t>(static_cast<int>(random.below(4)) - 2));
  PackedWeights packed[3];
  for (std::size_t f = 0; f < 3; ++f) packed[f] = pack_weights(weights, {kFormats[f], 8, Packing::Lanes::kFilters});
  std::vector<std::int16_t> values(static_cast<std::size_t>(layer.in + 16));
  for (std::int16_t& value : values) value = static_cast<std::int16_t>(random.below(12000));
  std::vector<std::int32_t> sums(static_cast<std::size_t>(layer.out + 8));
  std::vector<std::int64_t> other(8 << 20, 1);
  constexpr int kTurns = 60, kQuadsTogether = 4;
  const int quads = (layer.in + 4 * kQuadsTogether - 1) / (4 * kQuadsTogether) * kQuadsTogether;
  for (int turn = 0; turn < kTurns; ++turn)
    for (std::size_t f = 0; f < 3; ++f)
      for (const bool far : {true, false}) {
        if (far) asm volatile("" : : "r"(std::accumulate(other.begin(), other.end(), std::int64_t{0})));
        const Clock::time_point begin = Clock::now();
        kernels.linear({values.data(), nullptr, packed[f].packing, packed[f].data(), packed[f].group_bytes,
                        (layer.out + 7) / 8, quads, sums.data()});
        times[f][far ? 1 : 0].add(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
      }
}

}  // namespace

int main() {
  for (const Kernels* kernels : all_kernels()) {
    if (!kernels->supported() || kernels == &kScalarKernels) continue;
    for (const Layer& layer : {Layer{64, 10}, {512, 1000}, {1280, 1000}, {2048, 2048}}) {
      Samples times[3][2];
      time_layer(*kernels, layer, times);
      for (const int far : {0, 1}) {
        const double bytes = times[0][far].median(), int4 = times[1][far].median(), int2 = times[2][far].median();
        std::printf("%-11s %4d x %4d %s  bytes %8.3f us  int4 %8.3f us (%.2f times as fast)  int2 %8.3f us (%.2f)\n", kernels->name,
                    layer.in, layer.out, far == 1 ? "far " : "near", bytes, int4, bytes / int4, int2, bytes / int2);
      }
    }
  }
}
