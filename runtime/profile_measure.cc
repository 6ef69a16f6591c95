#include "runtime/profile_measure.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <tuple>

#include "data/image_statistics.h"
#include "data/preprocess.h"
#include "runtime/adaptive.h"
#include "runtime/core/fusion.h"
#include "runtime/core/random.h"
#include "runtime/engine/engine.h"
#include "runtime/policy_head.h"
#include "runtime/random_policy.h"
#include "runtime/samples.h"

namespace bitpilot {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBlocks = 3, kLeastTurns = 3, kMostTurns = 7, kDecidingTurns = 201;
constexpr double kShortestTurn = 20e-6;  // seconds: long beside the clock's own time
constexpr double kBlockSeconds = 1e-3;   // of one kernel's turns in a block, as long as kLeastTurns fit
constexpr double kHopeless = 1.5;        // times the fastest one's: not looked at again after the first block
constexpr int kWidths = 4;               ///< timed of a layer: quarters of its blocks

/// Sessions of one model, one for each place in the lists of packings, made when it is first asked for.
class Sessions {
 public:
  Sessions(const ModelData& model, const Kernels& kernels, int threads)
      : data_(model), kernels_(kernels), threads_(threads), model_(std::make_shared<const Model>(model, &kernels)) {
    const Shape input = model.network.input_shape();
    codes_.assign(static_cast<std::size_t>(input.channels * input.height * input.width), 100);
  }
  const Model& model() const { return *model_; }
  /// Seconds of one layer's work, the mean of `times`; of the stem with everything that starts a picture.
  double time(int place, const BitConfig& config, int layer, int times) {
    Session& session = at(place);
    if (layer > 0) return session.time_layer(config, layer, times);
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < times; ++i) session.start(codes_);
    return std::chrono::duration<double>(Clock::now() - start).count() / times;
  }

 private:
  Session& at(int place) {
    std::optional<Session>& session = sessions_[static_cast<std::size_t>(place)];
    if (session) return *session;
    session.emplace(place == 0 ? model_ : std::make_shared<const Model>(data_, &kernels_, KernelChoice(place)), threads_);
    session->start(codes_);
    session->look(data_.anchors.front().config);
    return *session;
  }

  const ModelData& data_;
  const Kernels& kernels_;
  int threads_;
  std::vector<std::uint8_t> codes_;
  std::shared_ptr<const Model> model_;
  std::array<std::optional<Session>, kMaxPackings> sessions_;
};

/// Layer whose width group decides how many channels a layer reads, -1 if nothing does.
int input_layer(const Network& network, int layer) {
  return network.depthwise(layer) ? -1 : network.channel_source(network.layer(layer).inputs[0]);
}

/// Filter blocks of what a layer reads: 0 if it is as narrow as the layer itself, 1 if it is never narrow.
int blocks_read(const ModelData& model, int layer) {
  const std::vector<int>& groups = model.network.width_groups();
  const int source = input_layer(model.network, layer);
  if (source < 0) return 1;
  const int group = groups[static_cast<std::size_t>(source)];
  if (group == groups[static_cast<std::size_t>(layer)]) return 0;
  for (std::size_t l = 0; l < groups.size(); ++l)
    if (groups[l] == group && !model.space.layers[l].fixed) return model.space.layers[l].blocks;
  return 1;
}

/// The layer at `bits` and everything else at 8 bits and whole, apart from layers that must be as narrow as it is, and
/// those that it reads: `input_blocks` of them (0: all).
BitConfig config_with(const ModelData& model, int layer, const LayerBits& bits, int input_blocks) {
  const std::vector<int>& groups = model.network.width_groups();
  const int source = input_layer(model.network, layer);
  BitConfig config = uniform_config(model.space, 8, 8);
  for (std::size_t l = 0; l < config.size(); ++l) {
    config[l].weight = model.weights[l].stored_bits;
    if (model.space.layers[l].fixed) continue;
    if (input_blocks > 0 && groups[l] == groups[static_cast<std::size_t>(source)])
      config[l].active_blocks = input_blocks;
    if (groups[l] == groups[static_cast<std::size_t>(layer)] && !model.space.layers[static_cast<std::size_t>(layer)].fixed)
      config[l].active_blocks = bits.active_blocks;
  }
  config[static_cast<std::size_t>(layer)] = bits;
  return config;
}

std::vector<int> timed_blocks(int blocks) {
  std::vector<int> timed;
  for (int i = 1; i <= kWidths; ++i) {
    const int count = (blocks * i + kWidths - 1) / kWidths;
    if (timed.empty() || timed.back() != count) timed.push_back(count);
  }
  return timed;
}

/// Settings with equal work have equal keys: the kernels on offer, what their speed hangs on, and the layer's shape.
using WorkKey = std::tuple<std::vector<Packing>, std::vector<int>>;

WorkKey work_key(const ModelData& data, const Model& model, const FusedStep& step, const LayerBits& bits) {
  const Network& network = data.network;
  const Node& node = network.layer(step.layer);
  const std::vector<Packing> packings = model.packings(step.layer, bits);
  const bool tables = std::any_of(packings.begin(), packings.end(),
                                  [](const Packing& packing) { return packing.format == Packing::Format::kTables; });
  // The product of the bounds decides how long 16-bit sums last; tables of wider codes are larger.
  const int precision = model.kernels().bits_count ? bits.weight + bits.activation : tables ? bits.activation : 0;
  // The stem starts the picture, the layer behind it changes its codes, and of a value with several readers their calibration tells how
  // often it is stored: these are like no other layer.
  const int alone = step.layer <= 1 || step.readers.size() > 1 ? step.layer : -1;
  const Shape& from = network.nodes[static_cast<std::size_t>(node.inputs[0])].shape;
  const int pool = step.pool_node < 0 ? -1 : static_cast<int>(network.nodes[static_cast<std::size_t>(step.pool_node)].op);
  return {packings,
          {precision, bits.active_blocks, alone, static_cast<int>(node.op), node.kernel, node.stride, node.padding,
           node.groups > 1 ? 1 : 0, network.in_channels(step.layer), node.shape.channels, from.height, from.width,
           node.shape.height, node.shape.width, step.add_operand >= 0 ? 1 : 0, step.carry ? 1 : 0, pool,
           data.space.layers[static_cast<std::size_t>(step.layer)].fixed ? 1 : 0, blocks_read(data, step.layer)}};
}

/// One kernel at one setting.
struct Job {
  BitConfig config;
  int place = 0, times = 1;
  double least = 0, spread = 0;  ///< of the blocks' medians; the distance from it in that block
  bool hopeless = false;
};

/// Times jobs of one layer in turns: the least of a few blocks' medians each, long after what else ran on the machine
/// in one of them.
void time_jobs(Sessions& sessions, int layer, std::vector<Job>& jobs) {
  double slowest = 0;
  for (Job& job : jobs) {
    sessions.time(job.place, job.config, layer, 1);
    const double once = std::max(sessions.time(job.place, job.config, layer, 1), 1e-9);
    job.times = std::max(1, static_cast<int>(std::ceil(kShortestTurn / once)));
    slowest = std::max(slowest, once * job.times);
  }
  const int turns = std::clamp(static_cast<int>(kBlockSeconds / slowest), kLeastTurns, kMostTurns);
  for (int block = 0; block < kBlocks; ++block) {
    std::vector<Samples> seconds(jobs.size());
    for (int turn = 0; turn < turns; ++turn)
      for (std::size_t j = 0; j < jobs.size(); ++j)
        if (!jobs[j].hopeless) seconds[j].add(sessions.time(jobs[j].place, jobs[j].config, layer, jobs[j].times));
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t j = 0; j < jobs.size(); ++j) {
      Job& job = jobs[j];
      if (job.hopeless) continue;
      if (block == 0 || seconds[j].median() < job.least) {
        job.least = seconds[j].median();
        job.spread = seconds[j].deviation();
      }
      best = std::min(best, job.least);
    }
    for (Job& job : jobs) job.hopeless = job.hopeless || job.least > kHopeless * best;
  }
}

/// The fastest kernel at one setting and its times.  Where the input can be narrower, half of it tells what part of the
/// time stays.
ProfileEntry time_setting(Sessions& sessions, const ModelData& model, int layer, const LayerBits& bits) {
  const int input_blocks = blocks_read(model, layer);
  const bool own_input = input_blocks == 0;
  const std::vector<Packing> packings = sessions.model().packings(layer, bits);
  const auto jobs_at = [&](int narrowed_to) {
    std::vector<Job> jobs;
    for (int place = 0; place < static_cast<int>(packings.size()); ++place)
      jobs.push_back({config_with(model, layer, bits, narrowed_to), place, 1, 0, 0, false});
    time_jobs(sessions, layer, jobs);
    return jobs;
  };
  const std::vector<Job> whole = jobs_at(0);
  std::vector<Job> narrow;
  double share = 1;  // of the input that `narrow` reads
  if (input_blocks > 1) {
    narrow = jobs_at((input_blocks + 1) / 2);
    share = static_cast<double>(model.network.active_in(layer, narrow.front().config, model.space)) /
            model.network.in_channels(layer);
  }
  const double own_share =
      static_cast<double>(bits.active_blocks) / model.space.layers[static_cast<std::size_t>(layer)].blocks;
  ProfileEntry best;
  double best_time = std::numeric_limits<double>::infinity();
  for (std::size_t j = 0; j < whole.size(); ++j) {
    const double all = whole[j].least;
    double fixed = own_input ? all : 0;
    if (share < 1) fixed = std::clamp((narrow[j].least - share * all) / (1 - share), 0.0, all);
    // A configuration narrows its layers alike: what the layer reads is as narrow as what it writes.
    const double time = fixed + (all - fixed) * own_share;
    if (whole[j].hopeless || time >= best_time) continue;
    best_time = time;
    best = {layer,       bits.weight,       bits.activation,
            bits.active_blocks, all * 1e3,  whole[j].spread * 1e3,
            fixed * 1e3, whole[j].place,    packing_name(packings[j])};
  }
  return best;
}

}  // namespace

std::vector<ProfileEntry> measure_profile(const ModelData& model, const Kernels& kernels, int threads,
                                          const std::function<void(int)>& progress) {
  Sessions sessions(model, kernels, threads);
  std::vector<ProfileEntry> entries;
  std::map<WorkKey, ProfileEntry> timed;
  const std::vector<FusedStep> steps = fuse(model.network);
  for (int l = 0; l < model.network.layer_count(); ++l) {
    const LayerSpace& space = model.space.layers[static_cast<std::size_t>(l)];
    const int stored = model.weights[static_cast<std::size_t>(l)].stored_bits;
    std::vector<int> widths = space.bits;
    if (std::find(widths.begin(), widths.end(), 8) == widths.end()) widths.push_back(8);  // what costs are relative to
    for (const int w : widths)
      for (const int a : widths)
        for (const int blocks : space.fixed ? std::vector<int>{space.blocks} : timed_blocks(space.blocks)) {
          // A layer that stores one width runs at that one, whatever it is priced as.
          const LayerBits bits{stored < 8 ? stored : w, a, blocks};
          const WorkKey key = work_key(model, sessions.model(), steps[static_cast<std::size_t>(l)], bits);
          auto found = timed.find(key);
          if (found == timed.end()) found = timed.emplace(key, time_setting(sessions, model, l, bits)).first;
          ProfileEntry entry = found->second;
          entry.layer = l;
          entry.weight = w;
          entry.activation = a;
          entries.push_back(std::move(entry));
        }
    progress(l + 1);
  }
  return entries;
}

DecidingTimes measure_deciding(const ModelData& model, const Kernels& kernels) {
  const Shape input = model.network.input_shape();
  if (input.channels != 1 && input.channels != 3) return {};
  Random random(1, "profile picture");
  Image luma(input.height, input.width, 1), picture(input.height, input.width, input.channels);
  for (Image* image : {&luma, &picture})
    for (std::uint8_t& pixel : image->pixels) pixel = static_cast<std::uint8_t>(60 + random.below(120));
  const Prepared prepared = preprocess(picture.view(), input, model.preprocessing.stretch);
  ModelData full = model;
  add_random_policy(full);
  PolicyParameters parameters = unpack_policy(full);
  parameters.offset = {};
  full.policy = pack_policy(parameters);
  ModelData bare = full;
  parameters.first_weight = parameters.stop_weight = 0;
  parameters.first_residual = {};
  parameters.stop_residual.assign(parameters.anchors(), {});
  bare.policy = pack_policy(parameters);
  AdaptiveSession with(std::make_shared<const Model>(std::move(full), &kernels)), without(std::make_shared<const Model>(std::move(bare), &kernels));
  Samples statistics, choosing, guarding, reading;
  for (int turn = 0; turn < kDecidingTurns; ++turn) {
    const Clock::time_point start = Clock::now();
    image_statistics(luma.view());
    statistics.add(std::chrono::duration<double>(Clock::now() - start).count());
    choosing.add(without.decide(prepared, {std::nullopt, 1, false}).policy_ms);
    guarding.add(without.decide(prepared, {std::nullopt, 1, true}).policy_ms);
    reading.add(with.decide(prepared, {std::nullopt, 1, true}).policy_ms);
  }
  const double plain = choosing.median(), guarded = std::max(plain, guarding.median());
  return {plain, statistics.median() * 1e3 + guarded - plain, std::max(0.0, reading.median() - guarded)};
}

}  // namespace bitpilot
