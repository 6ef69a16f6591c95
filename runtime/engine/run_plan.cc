#include "runtime/engine/run_plan.h"

#include <algorithm>
#include <chrono>

#include "runtime/core/integer.h"
#include "runtime/engine/chain.h"

namespace bitpilot {
namespace {

using Clock = std::chrono::steady_clock;

/// A part smaller than this costs more to hand over than to compute.
constexpr double kLeastWork = 200'000;  // products
/// Parts start at whole vectors of every instruction set, so that no two threads store into one.
constexpr int kPositionStep = 64;

int round_up(int value, int unit) { return (value + unit - 1) / unit * unit; }

/// One convolution in parts: runs of filter groups, and of positions when there are too few groups.
struct SplitConv {
  const Kernels& kernels;
  const ConvTask& task;
  int group_parts, position_parts;

  static void work(const void* context, int part) {
    const auto& split = *static_cast<const SplitConv*>(context);
    ConvTask task = split.task;
    const int groups = task.groups, positions = task.positions, g = part % split.group_parts,
              p = part / split.group_parts;
    task.first_group = groups * g / split.group_parts;
    task.groups = groups * (g + 1) / split.group_parts;
    const int run = round_up((positions + split.position_parts - 1) / split.position_parts, kPositionStep);
    task.first_position = std::min(positions, run * p);
    task.positions = std::min(positions, run * (p + 1));
    if (task.first_position < task.positions) split.kernels.conv(task);
  }
};

void run_conv(const Kernels& kernels, ThreadPool& pool, const ConvTask& task) {
  const double work = 16.0 * task.groups * task.packing.group / 4 * task.quads * task.tap_count * task.positions;
  const int threads = std::min(pool.threads(), static_cast<int>(work / kLeastWork));
  if (threads <= 1) return kernels.conv(task);
  // Two parts a thread even out threads that were held up.
  const int wanted = 2 * threads;
  SplitConv split{kernels, task, std::min(wanted, task.groups), 1};
  split.position_parts =
      std::clamp((wanted + split.group_parts - 1) / split.group_parts, 1, std::max(1, task.positions / kPositionStep));
  pool.run(split.group_parts * split.position_parts, SplitConv::work, &split);
}

/// The features as 15 lower and the upper bits, in the order that the packed weights have them; zeros fill the last
/// quad.
void split_features(const LinearStep& task) {
  constexpr int kOrder[2][4] = {{0, 1, 2, 3}, {0, 2, 1, 3}};
  const int* order = kOrder[task.product.packing.format == Packing::Format::kWords ? 1 : 0];
  for (int quad = 0; quad < task.product.quads; ++quad)
    for (int i = 0; i < 4; ++i) {
      const int channel = 4 * quad + order[i];
      const std::int32_t feature = channel < task.in ? task.sums.sums[channel] : 0;
      task.low[4 * quad + i] = static_cast<std::int16_t>(feature & 0x7fff);
      task.high[4 * quad + i] = static_cast<std::int16_t>(feature >> 15);
    }
}

void run_linear(const Kernels& kernels, const LinearStep& task) {
  kernels.channel_sums(task.sums);
  split_features(task);
  kernels.linear(task.product);
  for (int o = 0; o < task.out; ++o) {
    const auto biased = static_cast<std::int32_t>(static_cast<std::uint32_t>(task.product.dst[o]) +
                                                  static_cast<std::uint32_t>(task.bias[o]));
    const float value = integer::scaled(biased, 0, task.multiplier[o]);
    if (task.scores != nullptr) task.scores[o] = value;
    for (int k = 0; k < task.output_count; ++k) {
      const CodeOutput& output = task.outputs[k];
      const float lowest = static_cast<float>(-output.zero_point),
                  highest = static_cast<float>(output.highest - output.zero_point);
      const int code =
          static_cast<int>(integer::rne(std::clamp(value * output.scale, lowest, highest))) + output.zero_point;
      output.dst[static_cast<std::size_t>(o / 4) * output.plane + static_cast<std::size_t>(o % 4)] =
          static_cast<std::uint8_t>(code);
    }
  }
}

void run_task(const Kernels& kernels, ThreadPool& pool, const PlanTask& task) {
  if (const auto* conv = std::get_if<ConvTask>(&task))
    run_conv(kernels, pool, *conv);
  else if (const auto* pairs = std::get_if<PairTask>(&task))
    kernels.pair(*pairs);
  else if (const auto* copy = std::get_if<GatherTask>(&task))
    kernels.gather(*copy);
  else if (const auto* recode = std::get_if<RecodeTask>(&task))
    kernels.recode(*recode);
  else if (const auto* max_pool = std::get_if<PoolTask>(&task))
    kernels.max_pool(*max_pool);
  else if (const auto* linear = std::get_if<LinearStep>(&task))
    run_linear(kernels, *linear);
}

}  // namespace

void run_plan(const Kernels& kernels, ThreadPool& pool, const Plan& plan, bool every_value) {
  auto chain = plan.chains.begin();
  const auto end = pool.threads() == 1 && !every_value ? plan.chains.end() : chain;
  for (std::size_t t = 0; t < plan.tasks.size(); ++t) {
    if (chain != end && chain->first == t) {
      run_chain(kernels, plan, *chain++);
      ++t;
    } else {
      run_task(kernels, pool, plan.tasks[t]);
    }
  }
}

void time_plan(const Kernels& kernels, ThreadPool& pool, const Plan& plan, std::span<double> seconds) {
  const auto seconds_of = [&](std::size_t task) -> double& {
    return seconds[static_cast<std::size_t>(plan.layers[task])];
  };
  auto chain = plan.chains.begin();
  const auto end = pool.threads() == 1 ? plan.chains.end() : chain;
  for (std::size_t t = 0; t < plan.tasks.size(); ++t) {
    if (chain != end && chain->first == t) {
      time_chain(kernels, plan, *chain++, seconds_of(t), seconds_of(t + 1));
      ++t;
      continue;
    }
    const Clock::time_point before = Clock::now();
    run_task(kernels, pool, plan.tasks[t]);
    seconds_of(t) += std::chrono::duration<double>(Clock::now() - before).count();
  }
}

double time_layer_of(const Kernels& kernels, ThreadPool& pool, const Plan& plan, int layer, int times) {
  std::size_t first = 0, end = plan.tasks.size();
  while (first < end && plan.layers[first] != layer) ++first;
  while (end > first && plan.layers[end - 1] != layer) --end;
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < times; ++i)
    for (std::size_t t = first; t < end; ++t) run_task(kernels, pool, plan.tasks[t]);
  return std::chrono::duration<double>(Clock::now() - start).count() / times;
}

}  // namespace bitpilot
