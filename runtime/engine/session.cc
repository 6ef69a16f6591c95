#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>

#include "runtime/core/error.h"
#include "runtime/engine/model_parts.h"
#include "runtime/engine/plan.h"
#include "runtime/engine/run_plan.h"

namespace bitpilot {
namespace {

constexpr std::size_t kAlignment = 64;
/// Plans of configurations that are no anchors; when there are more, they are all forgotten and made again as needed.
constexpr std::size_t kMaxOtherPlans = 256;

struct FreeArena {
  void operator()(std::uint8_t* memory) const { std::free(memory); }
};

struct ConfigOrder {
  bool operator()(const BitConfig& a, const BitConfig& b) const {
    return std::lexicographical_compare(
        a.begin(), a.end(), b.begin(), b.end(), [](const LayerBits& x, const LayerBits& y) {
          return std::tie(x.weight, x.activation, x.active_blocks) < std::tie(y.weight, y.activation, y.active_blocks);
        });
  }
};

int longest_vector(const Network& network) {
  int longest = 0;
  for (int l = 0; l < network.layer_count(); ++l)
    longest = std::max({longest, network.layer(l).shape.channels, network.in_channels(l)});
  return longest + 16;
}

}  // namespace

struct Session::Impl {
  Impl(std::shared_ptr<const Model> shared, int threads);
  void set_borders(const Plan& plan);
  void run(const Plan& plan, bool every_value = false);
  const Plan& plan(const BitConfig& config);
  void write_input(const std::uint8_t* codes);

  std::shared_ptr<const Model> model;
  const Model::Impl& parts;
  ThreadPool pool;
  std::unique_ptr<std::uint8_t, FreeArena> arena;
  std::vector<std::int32_t> features, sums, stem_sums;
  std::vector<std::int16_t> low, high;  ///< halves of the features
  std::vector<float> scores;
  std::vector<std::uint8_t> borders;  ///< code that each slot's border holds now
  Planner planner;
  Plan stem;
  SumTask stem_sum;
  std::vector<Plan> anchors;
  std::map<BitConfig, Plan, ConfigOrder> others;
  bool started = false;
};

namespace {

std::uint8_t* allocate_arena(std::size_t bytes) {
  auto* const memory = static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, bytes));
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  return memory;
}

}  // namespace

Session::Impl::Impl(std::shared_ptr<const Model> shared, int threads)
    : model(std::move(shared)),
      parts(*model->impl_),
      pool(threads),
      arena(allocate_arena(parts.layout.arena_bytes())),
      features(static_cast<std::size_t>(longest_vector(parts.data.network))),
      sums(features.size()),
      stem_sums(static_cast<std::size_t>(parts.data.network.layer(0).shape.channels + 4)),
      low(features.size()),
      high(features.size()),
      scores(static_cast<std::size_t>(parts.data.network.classes())),
      borders(static_cast<std::size_t>(parts.layout.slot_count()), 0),
      planner(parts.data, parts.layout, model->impl_->weights,
              {arena.get(), features.data(), low.data(), high.data(), sums.data(), scores.data()}),
      stem(planner.stem(parts.anchors.front())) {
  for (const auto& numbers : parts.anchors) anchors.push_back(planner.rest(numbers));
  const Slot& carry = parts.layout.slot(parts.layout.step_slots(0).carry);
  const Grid& grid = parts.layout.grid(carry.grid);
  stem_sum = {arena.get() + carry.offset + grid.origin(),
              grid.plane(),
              grid.positions(),
              parts.layout.valid(carry.grid),
              (parts.data.network.layer(0).shape.channels + 3) / 4,
              stem_sums.data()};
}

void Session::Impl::set_borders(const Plan& plan) {
  for (const Plan::Border& border : plan.borders) {
    std::uint8_t& now = borders[static_cast<std::size_t>(border.slot)];
    if (now == border.code) continue;
    const Slot& slot = parts.layout.slot(border.slot);
    std::memset(arena.get() + slot.offset, border.code, slot.bytes);
    now = border.code;
  }
}

void Session::Impl::run(const Plan& plan, bool every_value) {
  set_borders(plan);
  run_plan(parts.kernels, pool, plan, every_value);
}

const Plan& Session::Impl::plan(const BitConfig& config) {
  if (const int anchor = find_anchor(parts.data, config); anchor >= 0) return anchors[static_cast<std::size_t>(anchor)];
  const auto found = others.find(config);
  if (found != others.end()) return found->second;
  if (others.size() >= kMaxOtherPlans) others.clear();
  auto numbers = std::make_shared<const std::vector<StepNumbers>>(resolve(parts.data, parts.layout.steps(), config, model->impl_->folds));
  return others.emplace(config, planner.rest(std::move(numbers))).first->second;
}

/// Lanes of `count` pixels: the first `used` of the four bytes that stand `step` from pixel to pixel, zeros behind.
/// Returns how many it wrote; reads 4 - `step` bytes past the last.
static int write_quads(const std::uint8_t* from, int step, int used, int count, std::uint8_t* to) {
  const std::uint32_t mask = used == 4 ? ~0U : (1U << (8 * used)) - 1;
  for (int x = 0; x < count; ++x) {
    std::uint32_t quad;
    std::memcpy(&quad, from + x * step, sizeof(quad));
    quad &= mask;
    std::memcpy(to + 4 * x, &quad, sizeof(quad));
  }
  return std::max(count, 0);
}

/// Interleaved pixels to quads of channels; for a stem that reads rows as channels lane j of pixel x is pixel x + j -
/// padding.
void Session::Impl::write_input(const std::uint8_t* codes) {
  const Layout& layout = parts.layout;
  const Slot& slot = layout.slot(layout.input_slot());
  const Grid& grid = layout.grid(slot.grid);
  std::uint8_t* const origin = arena.get() + slot.offset + grid.origin();
  const int channels = parts.data.network.input_shape().channels;
  const Node& stem_node = parts.data.network.layer(0);
  const std::uint8_t outside = borders[static_cast<std::size_t>(layout.input_slot())];
  for (int y = 0; y < grid.height; ++y) {
    const std::uint8_t* const from =
        codes + static_cast<std::size_t>(y) * static_cast<std::size_t>(grid.width * channels);
    std::uint8_t* const to = origin + static_cast<std::size_t>(y) * grid.row_bytes();
    if (layout.row_as_channels()) {
      const int first = std::min(stem_node.padding, grid.width), count = grid.width - stem_node.padding - 3;
      const int end = first + std::max(0, write_quads(from, /*step=*/1, stem_node.kernel, count, to + 4 * first));
      const auto edge = [&](int x) {
        for (int lane = 0; lane < stem_node.kernel; ++lane) {
          const int at = x + lane - stem_node.padding;
          to[4 * x + lane] = at >= 0 && at < grid.width ? from[at] : outside;
        }
      };
      for (int x = 0; x < first; ++x) edge(x);
      for (int x = end; x < grid.width; ++x) edge(x);
    } else if (channels == 3) {
      // The four bytes of a row's last pixel may be more than there are.
      const int done = write_quads(from, /*step=*/3, /*used=*/3, grid.width - 1, to);
      for (int x = done; x < grid.width; ++x) std::memcpy(to + 4 * x, from + 3 * x, 3);
    } else {
      for (int c = 0; c < channels; ++c) {
        std::uint8_t* const plane = to + static_cast<std::size_t>(c / 4) * grid.plane() + c % 4;
        for (int x = 0; x < grid.width; ++x) plane[4 * x] = from[x * channels + c];
      }
    }
  }
}

Session::Session(std::shared_ptr<const Model> model, int threads)
    : impl_(std::make_unique<Impl>(std::move(model), threads)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;

void Session::start(std::span<const std::uint8_t> codes) {
  const Shape input = impl_->parts.data.network.input_shape();
  if (codes.size() != static_cast<std::size_t>(input.channels) * static_cast<std::size_t>(input.height * input.width))
    throw Error(ExitCode::kData, "a picture of " + std::to_string(codes.size()) + " bytes",
                impl_->parts.data.network.name,
                "give height x width x channels = " + std::to_string(input.height) + " x " +
                    std::to_string(input.width) + " x " + std::to_string(input.channels) + " codes");
  impl_->set_borders(impl_->stem);  // before the pixels: setting a border overwrites the whole slot
  impl_->write_input(codes.data());
  impl_->run(impl_->stem);
  impl_->parts.kernels.channel_sums(impl_->stem_sum);
  impl_->started = true;
}

std::span<const std::int32_t> Session::stem_sums() const {
  return {impl_->stem_sums.data(), static_cast<std::size_t>(impl_->parts.data.network.layer(0).shape.channels)};
}

std::span<const float> Session::look(const BitConfig& config) {
  if (!impl_->started)
    throw Error(ExitCode::kBug, "a look before any picture was started", "Session::look", "call start() first");
  impl_->run(impl_->plan(config));
  return impl_->scores;
}

std::span<const float> Session::look_anchor(int anchor) {
  if (anchor < 0 || anchor >= static_cast<int>(impl_->anchors.size()))
    throw Error(ExitCode::kData, "there is no anchor " + std::to_string(anchor), impl_->parts.data.network.name,
                "use 0.." + std::to_string(impl_->anchors.size() - 1));
  if (!impl_->started)
    throw Error(ExitCode::kBug, "a look before any picture was started", "Session::look_anchor", "call start() first");
  impl_->run(impl_->anchors[static_cast<std::size_t>(anchor)]);
  return impl_->scores;
}

void Session::time_layers(std::span<const std::uint8_t> codes, const BitConfig& config, std::span<double> seconds) {
  start(codes);
  const Plan& rest = impl_->plan(config);
  time_plan(impl_->parts.kernels, impl_->pool, impl_->stem, seconds);
  impl_->set_borders(rest);
  time_plan(impl_->parts.kernels, impl_->pool, rest, seconds);
}

double Session::time_layer(const BitConfig& config, int layer, int times) {
  const Plan& plan = layer == 0 ? impl_->stem : impl_->plan(config);
  impl_->set_borders(plan);
  return time_layer_of(impl_->parts.kernels, impl_->pool, plan, layer, times);
}

std::vector<CodeTrace> Session::trace(std::span<const std::uint8_t> codes, const BitConfig& config) {
  start(codes);
  impl_->run(impl_->plan(config), /*every_value=*/true);
  std::vector<CodeTrace> traces;
  for (const StoredCode& stored : impl_->plan(config).stored) {
    const Grid& grid = impl_->parts.layout.grid(stored.grid);
    CodeTrace trace{stored.step, stored.reader, stored.bits, {}};
    for (int c = 0; c < stored.channels; ++c)
      for (int y = 0; y < grid.height; ++y)
        for (int x = 0; x < grid.width; ++x)
          trace.codes.push_back(
              stored.codes[static_cast<std::size_t>(c / 4) * stored.plane + grid.origin() +
                           static_cast<std::size_t>(y) * grid.row_bytes() + static_cast<std::size_t>(4 * x + c % 4)]);
    traces.push_back(std::move(trace));
  }
  return traces;
}

}  // namespace bitpilot
