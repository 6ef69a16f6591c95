#pragma once

#include <cstdint>
#include <vector>

#include "runtime/core/fusion.h"
#include "runtime/core/network.h"

namespace bitpilot {

/// Where the pixels of a value of one size lie (layout "C4" of runtime/kernels/kernels.h).  All values of one size
/// share a grid, so that a window of stride 1 is a constant offset between positions.
struct Grid {
  int height = 1, width = 1;
  int pad = 0;  ///< border on each side; the columns right of a row are those left of the next
  int row() const { return width + pad; }
  int positions() const { return height * row(); }
  std::size_t row_bytes() const { return 4 * static_cast<std::size_t>(row()); }
  /// Bytes from the start of a plane to pixel (0, 0).
  std::size_t origin() const { return static_cast<std::size_t>(pad) * row_bytes() + 4 * static_cast<std::size_t>(pad); }
  /// Bytes of one quad of channels, a multiple of 64.
  std::size_t plane() const;
  /// One bit a position, padded as kernels want it.
  std::vector<std::uint8_t> valid() const;
};

/// A sliding window.
struct Window {
  int rows = 1, columns = 1, pad_rows = 0, pad_columns = 0, stride = 1;
};

/// How a window is turned into constant offsets ("taps").  Windows that keep the size read the value itself; all others
/// read copies of it, one for each phase of the stride ("gather"), that have the row length of the result.
struct WindowPlan {
  Window window;
  bool gather = false;
  std::vector<std::int32_t> taps;           ///< byte offset of each tap from its position
  std::vector<std::int32_t> taps_in_place;  ///< the same in the value itself, for kernels that take strides as they are
  struct Phase {
    int row = 0, column = 0;    ///< of the first pixel taken, relative to pixel (0, 0) of the value
    int rows = 0, columns = 0;  ///< pixels taken
  };
  std::vector<Phase> phases;
  int phase_row = 0;            ///< positions from row to row of a phase: those of the result
  std::size_t phase_plane = 0;  ///< bytes of one phase of one quad
  std::size_t quad_plane() const { return phase_plane * phases.size(); }
};

/// Part of the arena that holds one value.
struct Slot {
  std::size_t offset = 0, bytes = 0;
  int grid = 0;      ///< index into Layout::grids
  int channels = 0;  ///< room for as many, a multiple of kFilterPadding
};

/// Slots of one fused step, -1 where there is none.  A pool reads what stands "before" it.
struct StepSlots {
  int carry = -1, carry_before = -1;
  std::vector<int> readers, readers_before;  ///< parallel to FusedStep::readers; the stem's have none before a pool
};

/// Everything about a network's memory that no configuration changes.
class Layout {
 public:
  explicit Layout(const Network& network);

  const std::vector<FusedStep>& steps() const { return steps_; }
  const Slot& slot(int index) const { return slots_[static_cast<std::size_t>(index)]; }
  int slot_count() const { return static_cast<int>(slots_.size()); }
  int input_slot() const { return 0; }
  const StepSlots& step_slots(int step) const { return step_slots_[static_cast<std::size_t>(step)]; }
  const Grid& grid(int index) const { return grids_[static_cast<std::size_t>(index)]; }
  const std::uint8_t* valid(int grid) const { return valid_[static_cast<std::size_t>(grid)].data(); }
  int grid_of(const Shape& shape) const;
  /// Window of a layer (Linear: none) and of the max pool behind it.
  const WindowPlan& window(int step) const { return windows_[static_cast<std::size_t>(step)]; }
  const WindowPlan& pool_window(int step) const { return pool_windows_[static_cast<std::size_t>(step)]; }
  bool max_pool(int step) const;
  bool averaged(int step) const;
  /// A one-channel stem with a narrow kernel reads the pixels of a row as channels: input lane j = pixel x + j -
  /// padding.
  bool row_as_channels() const { return row_as_channels_; }
  std::size_t scratch_offset() const { return scratch_offset_; }
  /// Room for one layer's input as places of tables.
  std::size_t paired_offset() const { return paired_offset_; }
  std::size_t arena_bytes() const { return arena_bytes_; }

 private:
  void find_windows();
  void find_grids();
  void plan_windows();
  void place_slots();
  int add_slot(const Shape& shape);
  WindowPlan plan_window(const Window& window, const Shape& from, const Shape& to) const;
  const Node& node(int index) const { return network_.nodes[static_cast<std::size_t>(index)]; }

  const Network& network_;
  std::vector<FusedStep> steps_;
  std::vector<Grid> grids_;
  std::vector<std::vector<std::uint8_t>> valid_;
  std::vector<WindowPlan> windows_, pool_windows_;
  std::vector<Slot> slots_;
  std::vector<StepSlots> step_slots_;
  bool row_as_channels_ = false;
  std::size_t scratch_offset_ = 0, paired_offset_ = 0, arena_bytes_ = 0;
};

}  // namespace bitpilot
