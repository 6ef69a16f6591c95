// A supernet's training step beside the float steps of its paths, one after the other in turns of one run, one thread, processor time: what
// switchable quantisation costs over training as many plain networks.  Usage: bench-supernet_step [TURNS]; prints its record.
//
// The supernet trains ResNet-8 at 28 x 28 for six paths (8, 4, 3 and 2 bits, half of the filters at 8 and 2) without a teacher; beside it
// stand float networks of the same graph, of half the width for the half paths, each with its own step.
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "quant/training_loop.h"
#include "runtime/core/backbones.h"

namespace {

using namespace bitpilot;

constexpr int kBatch = 128, kClasses = 10, kWidth = 16, kWarmUp = 2;
constexpr std::int64_t kSteps = 1000;  // of the schedule: more than are run

/// Of the processor, all threads of this process: what others run meanwhile counts little.
double seconds(const std::function<void()>& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

/// A network with the loop that trains it.
struct Trained {
  Trained(const Network& network, const BitSpace& space, std::vector<PathSpec> paths, bool quantized)
      : net(network, space, std::move(paths), quantized, /*seed=*/1), loop(&net, nullptr, kSteps, options()) {}
  static TrainingOptions options() {
    TrainingOptions options;
    options.label_share = 1;
    options.threads = 1;
    return options;
  }
  QuantizedNetwork net;
  TrainingLoop loop;
};

std::unique_ptr<Trained> float_network(int width) {
  const Network network = make_backbone("resnet8", {1, 28, 28}, kClasses, width);
  const BitSpace space = make_bit_space(network, {8});
  return std::make_unique<Trained>(network, space, std::vector<PathSpec>{{"float", uniform_config(space, 8, 8)}}, false);
}

nlohmann::ordered_json quartiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) { return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))]; };
  return {{"median", at(0.5)}, {"quartiles", {at(0.25), at(0.75)}}};
}

}  // namespace

int main(int argc, char** argv) {
  const int turns = argc > 1 ? std::max(3, std::atoi(argv[1])) : 15;
  at::set_num_threads(1);
  torch::manual_seed(1);
  const Network network = make_backbone("resnet8", {1, 28, 28}, kClasses, kWidth);
  const BitSpace space = make_bit_space(network, {2, 3, 4, 8});
  std::vector<PathSpec> paths;
  std::vector<std::unique_ptr<Trained>> plain;
  for (const int bits : {8, 4, 3, 2}) {
    paths.push_back({std::to_string(bits) + " bits", uniform_config(space, bits, bits)});
    plain.push_back(float_network(kWidth));
  }
  for (const int bits : {8, 2}) {
    paths.push_back({std::to_string(bits) + " bits, half", uniform_config(space, bits, bits, 0.5)});
    plain.push_back(float_network(kWidth / 2));
  }
  Trained supernet(network, space, paths, true);
  const TrainingBatch batch{torch::rand({kBatch, 1, 28, 28}), torch::randint(0, kClasses, {kBatch}, torch::kLong)};
  std::vector<double> together, apart, ratio;
  for (int turn = -kWarmUp; turn < turns; ++turn) {
    const double shared = seconds([&] { supernet.loop.step(batch, {}); });
    double sum = 0;
    for (const auto& one : plain) sum += seconds([&] { one->loop.step(batch, {}); });
    if (turn < 0) continue;
    together.push_back(1e3 * shared);
    apart.push_back(1e3 * sum);
    ratio.push_back(shared / sum);
  }
  const nlohmann::ordered_json record{{"schema", "bitpilot.supernet_step/1"}, {"experiment", "supernet_step"}, {"network", "resnet8"},
                                      {"batch", kBatch}, {"threads", 1}, {"paths", paths.size()}, {"turns", turns},
                                      {"supernet_ms", quartiles(together)}, {"float_steps_ms", quartiles(apart)},
                                      {"supernet_over_float_steps", quartiles(ratio)}};
  std::printf("%s\n", record.dump(1).c_str());
}
