#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "runtime/engine/layout.h"
#include "runtime/engine/step_numbers.h"
#include "runtime/engine/weight_store.h"
#include "runtime/kernels/kernels.h"

namespace bitpilot {

/// A Linear layer: codes (or their sums over a picture) -> int32 vector -> class scores or codes.
struct LinearStep {
  SumTask sums;
  int in = 0;                   ///< features
  std::int16_t* low = nullptr;  ///< halves of the features, as LinearTask wants them
  std::int16_t* high = nullptr;
  LinearTask product;
  int out = 0;
  const std::int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  float* scores = nullptr;  ///< of the classifier, else nullptr
  const CodeOutput* outputs = nullptr;
  int output_count = 0;
};

using PlanTask = std::variant<GatherTask, PairTask, ConvTask, PoolTask, RecodeTask, LinearStep>;

/// Where one stored code lies after a plan has run.
struct StoredCode {
  int step = -1, reader = -1, bits = 8;  ///< reader -1: the carry
  int channels = 0;                      ///< active ones
  int grid = 0;
  const std::uint8_t* codes = nullptr;  ///< start of plane 0
  std::size_t plane = 0;
};

/// What to run for one configuration, with every address resolved: running it allocates nothing and decides nothing.
struct Plan {
  /// A slot and the code that its border must hold before the tasks run.
  struct Border {
    int slot = 0;
    std::uint8_t code = 0;
  };
  /// A convolution, task `first`, and the depthwise one behind it, that can be run in turns: so many filter groups of
  /// either at a time.
  struct Chain {
    std::size_t first = 0;
    int first_groups = 0, second_groups = 0;
  };
  std::vector<Border> borders;
  std::vector<PlanTask> tasks;
  std::vector<int> layers;         ///< parallel to tasks: whose work it is
  std::vector<Chain> chains;       ///< in the order of tasks
  std::vector<StoredCode> stored;  ///< in the order of Session::trace
  std::shared_ptr<const std::vector<StepNumbers>> numbers;
  // That the tasks point to: moving a plan leaves them where they are.
  std::vector<std::vector<CodeOutput>> outputs;
  std::vector<std::vector<std::int32_t>> taps;

  Plan() = default;
  Plan(Plan&&) = default;
  Plan& operator=(Plan&&) = default;
};

/// Memory of one session that plans point into.
struct Workspace {
  std::uint8_t* arena = nullptr;
  std::int32_t* features = nullptr;              ///< input of a Linear layer
  std::int16_t *low = nullptr, *high = nullptr;  ///< its halves
  std::int32_t* sums = nullptr;                  ///< result of a Linear layer before scaling
  float* scores = nullptr;
};

/// Builds plans for one session of one model.
class Planner {
 public:
  Planner(const ModelData& model, const Layout& layout, WeightStore& weights, Workspace workspace)
      : model_(model), layout_(layout), weights_(weights), workspace_(workspace) {}

  /// The stem alone: from the input's slot to its carry.
  Plan stem(std::shared_ptr<const std::vector<StepNumbers>> numbers) const;
  /// Everything behind the stem.
  Plan rest(std::shared_ptr<const std::vector<StepNumbers>> numbers) const;

 private:
  std::uint8_t* start(int slot) const { return workspace_.arena + layout_.slot(slot).offset; }
  const Grid& grid(int slot) const { return layout_.grid(layout_.slot(slot).grid); }
  std::uint8_t* origin(int slot) const { return start(slot) + grid(slot).origin(); }
  const StepNumbers& numbers(const Plan& plan, int step) const {
    return (*plan.numbers)[static_cast<std::size_t>(step)];
  }
  /// Slot of output `output` of a step, and the slot in which a pool finds it first (the same without a pool).
  int slot_of_output(const Plan& plan, int step, int output) const;
  int slot_before_pool(const Plan& plan, int step, int output) const;
  /// Slot that `layer` reads.
  int slot_of_input(const Plan& plan, int layer) const;
  bool reads_stem_carry(const Plan& plan, int output) const;
  void add_recodes(Plan& plan) const;
  void add_step(Plan& plan, int step) const;
  /// Lets a convolution that is to use product tables read `first` bytes into the planes that it would read otherwise,
  /// and adds the change of these planes to what the tables want.
  void add_pairs(Plan& plan, ConvTask& task, std::size_t first) const;
  void add_conv(Plan& plan, int step, const CodeOutput* outputs, int output_count) const;
  void add_linear(Plan& plan, int step, const CodeOutput* outputs, int output_count) const;
  void add_pool(Plan& plan, int step, int from, int to) const;
  void list_stored(Plan& plan) const;
  /// Adds the copies that a window needs.  Returns what it then reads: position 0 of quad 0, and bytes from quad to
  /// quad.
  std::pair<const std::uint8_t*, std::size_t> windowed(Plan& plan, const WindowPlan& window, int slot, int quads) const;

  const ModelData& model_;
  const Layout& layout_;
  WeightStore& weights_;
  Workspace workspace_;
};

}  // namespace bitpilot
