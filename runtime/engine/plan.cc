#include "runtime/engine/plan.h"

#include <cstddef>
#include <tuple>

#include "runtime/core/error.h"
#include "runtime/core/integer.h"
#include "runtime/engine/chain.h"

namespace bitpilot {
namespace {

int quads(int channels) { return (channels + 3) / 4; }

}  // namespace

bool Planner::reads_stem_carry(const Plan& plan, int output) const {
  const StepNumbers::Output& carry = numbers(plan, 0).outputs[0];
  const StepNumbers::Output& code = numbers(plan, 0).outputs[static_cast<std::size_t>(output)];
  // The same code; its border is 0, as the carry's slot has it.
  return code == carry && code.zero_point == 0;
}

int Planner::slot_of_output(const Plan& plan, int step, int output) const {
  const StepSlots& slots = layout_.step_slots(step);
  if (output == 0 && slots.carry >= 0) return slots.carry;
  if (step == 0 && reads_stem_carry(plan, output)) return slots.carry;
  const std::vector<int>& of_readers = numbers(plan, step).output_of_readers;
  std::size_t first = 0;
  while (of_readers[first] != output) ++first;
  return slots.readers[first];
}

int Planner::slot_before_pool(const Plan& plan, int step, int output) const {
  const StepSlots& slots = layout_.step_slots(step);
  if (!layout_.max_pool(step)) return slot_of_output(plan, step, output);
  if (output == 0 && slots.carry >= 0) return slots.carry_before;
  const std::vector<int>& of_readers = numbers(plan, step).output_of_readers;
  std::size_t first = 0;
  while (of_readers[first] != output) ++first;
  return slots.readers_before[first];
}

int Planner::slot_of_input(const Plan& plan, int layer) const {
  const FusedStep& step = layout_.steps()[static_cast<std::size_t>(layer)];
  if (step.source < 0) return layout_.input_slot();
  const FusedStep& source = layout_.steps()[static_cast<std::size_t>(step.source)];
  std::size_t reader = 0;
  while (source.readers[reader] != layer) ++reader;
  return slot_of_output(plan, step.source, numbers(plan, step.source).output_of_readers[reader]);
}

Plan Planner::stem(std::shared_ptr<const std::vector<StepNumbers>> all) const {
  Plan plan;
  plan.numbers = std::move(all);
  plan.borders.push_back({layout_.input_slot(), static_cast<std::uint8_t>(numbers(plan, 0).input_zero_point)});
  add_step(plan, 0);
  plan.layers.resize(plan.tasks.size(), 0);
  return plan;
}

Plan Planner::rest(std::shared_ptr<const std::vector<StepNumbers>> all) const {
  Plan plan;
  plan.numbers = std::move(all);
  add_recodes(plan);
  plan.layers.resize(plan.tasks.size(), 1);  // changes of code are for the first layer behind the stem
  for (const FusedStep& step : layout_.steps()) {
    if (step.layer > 0) add_step(plan, step.layer);
    plan.layers.resize(plan.tasks.size(), step.layer);
  }
  plan.chains = find_chains(plan, layout_);
  list_stored(plan);
  return plan;
}

/// The codes that the stem's readers want, from the stem's 8-bit code; only the channels that they read.
void Planner::add_recodes(Plan& plan) const {
  const StepNumbers& stem = numbers(plan, 0);
  const FusedStep& step = layout_.steps()[0];
  for (std::size_t o = 1; o < stem.outputs.size(); ++o) {
    const int from = layout_.step_slots(0).carry, to = slot_of_output(plan, 0, static_cast<int>(o));
    if (from == to) continue;
    plan.borders.push_back({to, static_cast<std::uint8_t>(stem.outputs[o].zero_point)});
    RecodeTask task;
    task.src = origin(from);
    task.src_plane = task.output.plane = grid(from).plane();
    task.src_zero = stem.outputs[0].zero_point;
    task.positions = grid(from).positions();
    task.valid = layout_.valid(layout_.slot(from).grid);
    int channels = 0;
    for (std::size_t r = 0; r < step.readers.size(); ++r)
      if (stem.output_of_readers[r] == static_cast<int>(o))
        channels = std::max(channels, numbers(plan, step.readers[r]).active_in);
    task.quads = quads(channels);
    task.output.dst = origin(to);
    task.output.scale = stem.outputs[o].scale;
    task.output.zero_point = stem.outputs[o].zero_point;
    task.output.highest = integer::unsigned_highest(stem.outputs[o].bits);
    plan.tasks.push_back(task);
  }
}

void Planner::add_step(Plan& plan, int step) const {
  const StepNumbers& now = numbers(plan, step);
  const std::size_t count = step == 0 ? 1 : now.outputs.size();  // the stem stores its carry only
  std::vector<CodeOutput>& outputs = plan.outputs.emplace_back();
  const int operand = layout_.steps()[static_cast<std::size_t>(step)].add_operand;
  const float carry_step = operand < 0 ? 0.0F : model_.carries[static_cast<std::size_t>(operand)].step;
  for (std::size_t o = 0; o < count; ++o) {
    const int slot = slot_before_pool(plan, step, static_cast<int>(o));
    const StepNumbers::Output& code = now.outputs[o];
    const bool carry = o == 0 && layout_.step_slots(step).carry >= 0;
    if (!carry && !layout_.max_pool(step)) plan.borders.push_back({slot, static_cast<std::uint8_t>(code.zero_point)});
    outputs.push_back({origin(slot), grid(slot).plane(), code.scale, code.zero_point,
                       integer::unsigned_highest(code.bits), stays_bounded(now, carry_step, code.scale)});
  }
  if (model_.network.layer(step).op == Op::kConv2d)
    add_conv(plan, step, outputs.data(), static_cast<int>(count));
  else
    add_linear(plan, step, outputs.data(), static_cast<int>(count));
  if (!layout_.max_pool(step)) return;
  for (std::size_t o = 0; o < count; ++o) {
    const int to = slot_of_output(plan, step, static_cast<int>(o));
    const bool carry = o == 0 && layout_.step_slots(step).carry >= 0;
    if (!carry) plan.borders.push_back({to, static_cast<std::uint8_t>(now.outputs[o].zero_point)});
    add_pool(plan, step, slot_before_pool(plan, step, static_cast<int>(o)), to);
  }
}

std::pair<const std::uint8_t*, std::size_t> Planner::windowed(Plan& plan, const WindowPlan& window, int slot,
                                                              int count) const {
  const Grid& from = grid(slot);
  if (!window.gather) return {origin(slot), from.plane()};
  std::uint8_t* const scratch = workspace_.arena + layout_.scratch_offset();
  const std::size_t row_bytes = 4 * static_cast<std::size_t>(window.phase_row);
  for (std::size_t p = 0; p < window.phases.size(); ++p) {
    const WindowPlan::Phase& phase = window.phases[p];
    GatherTask task;
    task.src = origin(slot) + static_cast<std::ptrdiff_t>(from.row_bytes()) * phase.row + 4 * phase.column;
    task.src_plane = from.plane();
    task.src_row = from.row_bytes();
    task.dst = scratch + p * window.phase_plane;
    task.dst_plane = window.quad_plane();
    task.dst_row = row_bytes;
    task.quads = count;
    task.rows = phase.rows;
    task.columns = phase.columns;
    task.stride = window.window.stride;
    plan.tasks.push_back(task);
  }
  return {scratch, window.quad_plane()};
}

void Planner::add_pairs(Plan& plan, ConvTask& task, std::size_t first) const {
  PairTask pairs;
  pairs.src = task.src - first;
  pairs.src_plane = task.src_plane;
  pairs.quads = task.quads;
  pairs.dst = workspace_.arena + layout_.paired_offset();
  pairs.dst_plane = paired_plane(task.packing, task.src_plane);
  pairs.packing = task.packing;
  pairs.code_bound = task.code_bound;
  plan.tasks.push_back(pairs);

  const int shrink = task.packing.lanes == Packing::Lanes::kPixels ? 4 : 1;  // one byte a position or four
  std::vector<std::int32_t>& taps = plan.taps.emplace_back();
  for (int plane = 0; plane < table_planes(task.packing, task.quads); ++plane)
    for (int tap = 0; tap < task.tap_count; ++tap)
      taps.push_back(plane * static_cast<std::int32_t>(pairs.dst_plane) + task.taps[tap] / shrink);
  task.src = pairs.dst + first / static_cast<std::size_t>(shrink);
  task.src_plane = pairs.dst_plane;
  task.taps = taps.data();
  task.tap_count = static_cast<int>(taps.size());
  task.quads = 1;
}

void Planner::add_conv(Plan& plan, int step, const CodeOutput* outputs, int output_count) const {
  const StepNumbers& now = numbers(plan, step);
  const FusedStep& fused = layout_.steps()[static_cast<std::size_t>(step)];
  const WindowPlan& window = layout_.window(step);
  const bool depthwise = model_.network.depthwise(step);
  const PackedWeights& weights = weights_.packed(step, now.bits);
  const int slot = slot_of_input(plan, step);
  const int in = step == 0 && layout_.row_as_channels() ? window.window.rows : now.active_in;
  ConvTask task;
  const int out_grid = layout_.grid_of(fused.value_shape);
  if (weights.packing.lanes != Packing::Lanes::kPixels) {
    task.src = origin(slot);
    task.src_plane = grid(slot).plane();
    task.taps = window.taps_in_place.data();
    task.columns = fused.value_shape.width;
    task.row = layout_.grid(out_grid).row();
    task.stride = window.window.stride;
    task.src_row = static_cast<std::size_t>(task.stride) * grid(slot).row_bytes();
  } else {
    std::tie(task.src, task.src_plane) = windowed(plan, window, slot, quads(in));
    task.taps = window.taps.data();
  }
  task.tap_count = static_cast<int>(window.taps.size());
  task.positions = layout_.grid(out_grid).positions();
  task.valid = layout_.valid(out_grid);
  task.packing = weights.packing;
  task.weights = weights.data();
  task.group_bytes = weights.group_bytes;
  task.groups = (now.active_out + weights.packing.group - 1) / weights.packing.group;
  task.quads = depthwise ? 1 : quads(in);
  task.quad_step = depthwise ? 1 : 0;
  task.code_bound = integer::unsigned_highest(now.bits.activation);
  task.narrow_steps = weights.narrow_steps(task.code_bound);
  task.multiplier = now.multiplier.data();
  task.bias = now.bias.data();
  if (fused.add_operand >= 0) {
    const int carry = layout_.step_slots(fused.add_operand).carry;
    const Carry& code = model_.carries[static_cast<std::size_t>(fused.add_operand)];
    task.carry = {origin(carry), grid(carry).plane(), code.step, code.zero_point};
  }
  task.outputs = outputs;
  task.output_count = output_count;
  const bool copied = weights.packing.lanes == Packing::Lanes::kPixels && window.gather;
  if (weights.packing.format == Packing::Format::kTables) add_pairs(plan, task, copied ? 0 : grid(slot).origin());
  plan.tasks.push_back(task);
}

void Planner::add_linear(Plan& plan, int step, const CodeOutput* outputs, int output_count) const {
  const StepNumbers& now = numbers(plan, step);
  const PackedWeights& weights = weights_.packed(step, now.bits);
  const int slot = slot_of_input(plan, step);
  LinearStep task;
  task.sums.src = origin(slot);
  task.sums.src_plane = grid(slot).plane();
  task.sums.positions = grid(slot).positions();
  task.sums.valid = layout_.valid(layout_.slot(slot).grid);
  task.sums.quads = quads(now.active_in);
  task.sums.sums = workspace_.features;
  task.in = now.active_in;
  task.low = workspace_.low;
  task.high = workspace_.high;
  task.product.low = workspace_.low;
  // A sum of codes over a small picture fits the lower half.
  const std::int64_t largest = std::int64_t{layout_.grid(layout_.slot(slot).grid).height} *
                               layout_.grid(layout_.slot(slot).grid).width * integer::unsigned_highest(8);
  if (largest >= 1 << 30)
    throw Error(ExitCode::kData, "an average over more than four million pixels", model_.network.layer(step).name,
                "use a smaller input or a pool before it");
  if (largest >= 1 << 15) task.product.high = workspace_.high;
  task.product.packing = weights.packing;
  task.product.weights = weights.data();
  task.product.group_bytes = weights.group_bytes;
  task.product.groups = (now.active_out + weights.packing.group - 1) / weights.packing.group;
  const int together = linear_quads(weights.packing.format);
  task.product.quads = (quads(now.active_in) + together - 1) / together * together;
  task.product.dst = workspace_.sums;
  task.out = now.active_out;
  task.bias = now.bias.data();
  task.multiplier = now.multiplier.data();
  task.scores = step == model_.network.layer_count() - 1 ? workspace_.scores : nullptr;
  task.outputs = outputs;
  task.output_count = output_count;
  plan.tasks.push_back(task);
}

void Planner::add_pool(Plan& plan, int step, int from, int to) const {
  const WindowPlan& window = layout_.pool_window(step);
  PoolTask task;
  // The stem is computed whole; behind other layers only active channels are pooled.
  task.quads = quads(numbers(plan, step).active_out);
  std::tie(task.src, task.src_plane) = windowed(plan, window, from, task.quads);
  task.taps = window.taps.data();
  task.tap_count = static_cast<int>(window.taps.size());
  task.positions = grid(to).positions();
  task.valid = layout_.valid(layout_.slot(to).grid);
  task.dst = origin(to);
  task.dst_plane = grid(to).plane();
  plan.tasks.push_back(task);
}

void Planner::list_stored(Plan& plan) const {
  const auto list = [&](int step, int reader, int bits, int channels, int slot) {
    plan.stored.push_back({step, reader, bits, channels, layout_.slot(slot).grid, start(slot), grid(slot).plane()});
  };
  for (const FusedStep& step : layout_.steps()) {
    const StepNumbers& now = numbers(plan, step.layer);
    if (step.carry) list(step.layer, -1, 8, now.active_out, layout_.step_slots(step.layer).carry);
    for (std::size_t r = 0; r < step.readers.size(); ++r) {
      const int output = now.output_of_readers[r];
      list(step.layer, step.readers[r], now.outputs[static_cast<std::size_t>(output)].bits,
           numbers(plan, step.readers[r]).active_in, slot_of_output(plan, step.layer, output));
    }
  }
}

}  // namespace bitpilot
