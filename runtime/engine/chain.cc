#include "runtime/engine/chain.h"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace bitpilot {
namespace {

/// Of a value between two convolutions: well inside the second-level cache, beside what they read and write.  Smaller
/// parts measured slower, they begin too often; larger ones too, from 400 KB on.
constexpr std::size_t kChainBytes = 128 * 1024;

const ConvTask& conv_of(const Plan& plan, std::size_t task) { return std::get<ConvTask>(plan.tasks[task]); }

bool chained(const ConvTask& first, const ConvTask& second) {
  return second.quad_step == 1 && second.packing.lanes == Packing::Lanes::kTaps && first.quad_step == 0 &&
         first.carry.src == nullptr && second.carry.src == nullptr && first.output_count == 1 &&
         second.output_count == 1 && first.outputs[0].dst == second.src && first.outputs[0].plane == second.src_plane;
}

/// Some filter groups of a task, as if they were all: it writes where the first ones would.
ConvTask part_of(const ConvTask& task, int from, int groups) {
  ConvTask part = task;
  const auto skipped = static_cast<std::size_t>(from), filters = skipped * static_cast<std::size_t>(task.packing.group);
  part.weights += skipped * task.group_bytes;
  part.multiplier += filters;
  part.bias += filters;
  part.groups = std::min(groups, task.groups - from);
  return part;
}

}  // namespace

std::vector<Plan::Chain> find_chains(const Plan& plan, const Layout& layout) {
  std::vector<Plan::Chain> chains;
  for (std::size_t t = 0; t + 1 < plan.tasks.size(); ++t) {
    const auto *first = std::get_if<ConvTask>(&plan.tasks[t]), *second = std::get_if<ConvTask>(&plan.tasks[t + 1]);
    if (first == nullptr || second == nullptr || !chained(*first, *second)) continue;
    const FusedStep& step = layout.steps()[static_cast<std::size_t>(plan.layers[t])];
    if (step.carry || step.readers.size() != 1) continue;
    // Whole groups of both; where a group is a vector of filters, two share what they read.
    const int quads = first->packing.group / 4 * (first->packing.lanes == Packing::Lanes::kFilters ? 2 : 1);
    const int least = std::lcm(quads, second->packing.group / 4);
    const int fitting = static_cast<int>(kChainBytes / second->src_plane) / least * least;
    const int taken = std::max(fitting, least);
    if (taken >= second->groups) continue;
    chains.push_back({t, taken * 4 / first->packing.group, taken * 4 / second->packing.group});
  }
  return chains;
}

template <class Before, class After>
static void each_part(const Plan& plan, const Plan::Chain& chain, const Before& before, const After& after) {
  const ConvTask &first = conv_of(plan, chain.first), &second = conv_of(plan, chain.first + 1);
  for (int f = 0, s = 0; s < second.groups; f += chain.first_groups, s += chain.second_groups) {
    before(part_of(first, f, chain.first_groups));
    ConvTask part = part_of(second, s, chain.second_groups);
    CodeOutput output = second.outputs[0];
    output.dst += static_cast<std::size_t>(s) * output.plane;
    part.outputs = &output;
    after(part);
  }
}

void run_chain(const Kernels& kernels, const Plan& plan, const Plan::Chain& chain) {
  each_part(
      plan, chain, [&](const ConvTask& task) { kernels.conv(task); },
      [&](const ConvTask& task) { kernels.conv(task); });
}

void time_chain(const Kernels& kernels, const Plan& plan, const Plan::Chain& chain, double& first, double& second) {
  using Clock = std::chrono::steady_clock;
  const auto timed = [&](double& seconds) {
    return [&](const ConvTask& task) {
      const Clock::time_point start = Clock::now();
      kernels.conv(task);
      seconds += std::chrono::duration<double>(Clock::now() - start).count();
    };
  };
  each_part(plan, chain, timed(first), timed(second));
}

}  // namespace bitpilot
