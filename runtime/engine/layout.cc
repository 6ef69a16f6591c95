#include "runtime/engine/layout.h"

#include <algorithm>

#include "runtime/core/error.h"
#include "runtime/kernels/kernels.h"

namespace bitpilot {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr int kChannelsPerQuad = 4;
constexpr std::size_t kMaxArena = std::size_t{4} << 30;

std::size_t round_up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

/// Before anything of that size is allocated: a header of some kilobytes can describe values of terabytes.
void check_size(std::size_t bytes, const Network& network) {
  if (bytes > kMaxArena)
    throw Error(ExitCode::kData,
                "the values of the network need more than " + std::to_string(kMaxArena >> 20) + " MiB of memory",
                network.name, "give it smaller pictures, fewer layers or fewer channels");
}

std::size_t quads(int channels) { return (static_cast<std::size_t>(channels) + 3) / 4; }

/// A window that keeps the size of the value reads it in place.
bool keeps_size(const Window& window, const Shape& from, const Shape& to) {
  return window.stride == 1 && from.height == to.height && from.width == to.width;
}

/// Positions that a window reaches beyond the result's own when it reads phases.
int reach(int kernel, int stride) { return (kernel - 1) / stride; }

}  // namespace

std::size_t Grid::plane() const {
  const int positions_with_border = (height + 2 * pad) * row() + pad;
  return round_up(4 * static_cast<std::size_t>(positions_with_border), kAlignment);
}

std::vector<std::uint8_t> Grid::valid() const {
  std::vector<std::uint8_t> bits(round_up(static_cast<std::size_t>(positions()), 32) / 8 + 4, 0);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const int position = y * row() + x;
      bits[static_cast<std::size_t>(position / 8)] |= static_cast<std::uint8_t>(1 << (position % 8));
    }
  return bits;
}

Layout::Layout(const Network& network) : network_(network), steps_(fuse(network)) {
  find_windows();
  find_grids();
  plan_windows();
  place_slots();
}

bool Layout::max_pool(int step) const {
  const int pool = steps_[static_cast<std::size_t>(step)].pool_node;
  return pool >= 0 && node(pool).op == Op::kMaxPool;
}

bool Layout::averaged(int step) const {
  const int pool = steps_[static_cast<std::size_t>(step)].pool_node;
  return pool >= 0 && node(pool).op == Op::kGlobalAvgPool;
}

void Layout::find_windows() {
  const Node& stem = network_.layer(0);
  // Odd kernels only: their windows are centred on pixels that exist.
  row_as_channels_ = network_.input_shape().channels == 1 && stem.kernel <= kChannelsPerQuad && stem.kernel % 2 == 1;
  for (const FusedStep& step : steps_) {
    WindowPlan plan, pool;
    const Node& layer = node(step.conv_node);
    if (layer.op == Op::kConv2d) plan.window = {layer.kernel, layer.kernel, layer.padding, layer.padding, layer.stride};
    if (step.layer == 0 && row_as_channels_) plan.window.columns = 1, plan.window.pad_columns = 0;
    windows_.push_back(plan);
    if (max_pool(step.layer)) {
      const Node& window = node(step.pool_node);
      pool.window = {window.kernel, window.kernel, window.padding, window.padding, window.stride};
    }
    pool_windows_.push_back(pool);
  }
}

int Layout::grid_of(const Shape& shape) const {
  for (std::size_t i = 0; i < grids_.size(); ++i)
    if (grids_[i].height == shape.height && grids_[i].width == shape.width) return static_cast<int>(i);
  return -1;
}

/// One grid for each size, with the widest border that any window over it or any gather into it needs.
void Layout::find_grids() {
  const auto need = [&](const Shape& shape, int pad) {
    if (grid_of(shape) < 0) grids_.push_back({shape.height, shape.width, 0});
    Grid& grid = grids_[static_cast<std::size_t>(grid_of(shape))];
    grid.pad = std::max(grid.pad, pad);
  };
  const auto slide = [&](const Window& window, const Shape& from, const Shape& to) {
    need(from, std::max(window.pad_rows, window.pad_columns));
    const int longest = std::max(window.rows, window.columns);
    need(to, keeps_size(window, from, to) ? 0 : reach(longest, window.stride));
  };
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    const FusedStep& step = steps_[s];
    slide(windows_[s].window, node(node(step.conv_node).inputs[0]).shape, node(step.conv_node).shape);
    if (max_pool(step.layer)) slide(pool_windows_[s].window, step.value_shape, step.out_shape);
  }
  // A Linear layer behind a global average pool reads the value before the pool, which has a grid already.
  std::size_t least = 0;
  for (const Grid& grid : grids_) check_size(least += grid.plane(), network_);
  for (const Grid& grid : grids_) valid_.push_back(grid.valid());
}

WindowPlan Layout::plan_window(const Window& window, const Shape& from, const Shape& to) const {
  WindowPlan plan;
  plan.window = window;
  plan.gather = !keeps_size(window, from, to);
  const Grid& out = grid(grid_of(to));
  const int row_in_place = grid(grid_of(from)).row();
  const int stride = plan.gather ? window.stride : 1;
  if (plan.gather) {
    plan.phase_row = out.row();
    const int rows = out.height + reach(window.rows, stride);
    plan.phase_plane = round_up(out.row_bytes() * static_cast<std::size_t>(rows) + 4 * kSlackPositions, kAlignment);
    for (int y = 0; y < std::min(stride, window.rows); ++y)
      for (int x = 0; x < std::min(stride, window.columns); ++x)
        plan.phases.push_back({y - window.pad_rows, x - window.pad_columns, out.height + (window.rows - 1 - y) / stride,
                               out.width + (window.columns - 1 - x) / stride});
  }
  const int phase_columns = std::min(stride, window.columns);
  for (int y = 0; y < window.rows; ++y)
    for (int x = 0; x < window.columns; ++x) {
      const int phase = (y % stride) * phase_columns + x % stride;
      const int shift = plan.gather ? (y / stride) * out.row() + x / stride
                                    : (y - window.pad_rows) * out.row() + x - window.pad_columns;
      plan.taps.push_back(static_cast<std::int32_t>(plan.phase_plane) * phase + 4 * shift);
      plan.taps_in_place.push_back(4 * ((y - window.pad_rows) * row_in_place + x - window.pad_columns));
    }
  return plan;
}

void Layout::plan_windows() {
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    const FusedStep& step = steps_[s];
    const Node& layer = node(step.conv_node);
    if (layer.op == Op::kConv2d)
      windows_[s] = plan_window(windows_[s].window, node(layer.inputs[0]).shape, layer.shape);
    if (max_pool(step.layer)) pool_windows_[s] = plan_window(pool_windows_[s].window, step.value_shape, step.out_shape);
  }
}

int Layout::add_slot(const Shape& shape) {
  Slot slot;
  slot.grid = grid_of(shape);
  slot.channels = static_cast<int>(round_up(static_cast<std::size_t>(shape.channels), kFilterPadding));
  slot.offset = arena_bytes_;
  slot.bytes = grid(slot.grid).plane() * quads(slot.channels);
  arena_bytes_ += slot.bytes;
  slots_.push_back(slot);
  return static_cast<int>(slots_.size()) - 1;
}

void Layout::place_slots() {
  const Shape input = network_.input_shape();
  add_slot({row_as_channels_ ? kChannelsPerQuad : input.channels, input.height, input.width});
  std::size_t scratch = 0, paired = 0;
  for (const FusedStep& step : steps_) {
    StepSlots slots;
    const bool pooled = max_pool(step.layer);
    const Shape& shape = pooled ? step.out_shape : step.value_shape;
    if (step.carry) slots.carry = add_slot(shape);
    if (step.carry && pooled) slots.carry_before = add_slot(step.value_shape);
    for (std::size_t r = 0; r < step.readers.size(); ++r) {
      slots.readers.push_back(add_slot(shape));
      slots.readers_before.push_back(pooled && step.layer != 0 ? add_slot(step.value_shape) : -1);
    }
    step_slots_.push_back(std::move(slots));
    const std::size_t in = quads(step.layer == 0 ? slot(input_slot()).channels : network_.in_channels(step.layer));
    const std::size_t out = quads(network_.layer(step.layer).shape.channels);
    const Shape& source = node(node(step.conv_node).inputs[0]).shape;
    if (node(step.conv_node).op == Op::kConv2d)  // a single quad may become two planes
      paired = std::max({paired, grid(grid_of(source)).plane() * (in + 1),
                         windows_[static_cast<std::size_t>(step.layer)].quad_plane() * in});
    scratch = std::max({scratch, windows_[static_cast<std::size_t>(step.layer)].quad_plane() * in,
                        pool_windows_[static_cast<std::size_t>(step.layer)].quad_plane() * out});
  }
  // Kernels read a little past the last plane of a value: into the next slot, the scratch or this slack.
  paired_offset_ = arena_bytes_;
  arena_bytes_ += paired;
  scratch_offset_ = arena_bytes_;
  arena_bytes_ += scratch;
  std::size_t longest_row = 0;
  for (const Grid& grid : grids_)
    longest_row = std::max(longest_row, grid.row_bytes() * static_cast<std::size_t>(grid.pad + 1));
  arena_bytes_ = round_up(arena_bytes_ + longest_row + 4 * kSlackPositions + kAlignment, kAlignment);
  check_size(arena_bytes_, network_);
}

}  // namespace bitpilot
