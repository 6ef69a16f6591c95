#include "runtime/profile_measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <tuple>

#include "data/image_statistics.h"
#include "data/preprocess.h"
#include "runtime/adaptive.h"
#include "runtime/core/integer.h"
#include "runtime/core/random.h"
#include "runtime/engine/engine.h"
#include "runtime/samples.h"

namespace bitpilot {
namespace {

constexpr int kTurns = 15, kObservingTurns = 201;
constexpr double kShortestTurn = 20e-6;  // seconds: long beside the clock's own time
constexpr int kWidths = 4;               ///< timed of a layer: quarters of its blocks

/// Sessions of one model, one for each place in the lists of packings.
class Sessions {
 public:
  Sessions(const ModelData& model, const Kernels& kernels, int threads) {
    const Shape input = model.network.input_shape();
    const std::vector<std::uint8_t> codes(static_cast<std::size_t>(input.channels * input.height * input.width), 100);
    for (int place = 0; place < kMaxPackings; ++place) {
      models_.push_back(std::make_shared<const Model>(model, &kernels, KernelChoice(place)));
      sessions_.emplace_back(models_.back(), threads);
      sessions_.back().start(codes);
      sessions_.back().look(model.anchors.front().config);
    }
  }
  const Model& model() const { return *models_.front(); }
  Session& session(int place) { return sessions_[static_cast<std::size_t>(place)]; }

 private:
  std::vector<std::shared_ptr<const Model>> models_;
  std::vector<Session> sessions_;
};

/// The layer at `bits` and everything else at 8 bits and whole, apart from layers that must be as narrow as it is.
BitConfig config_with(const ModelData& model, int layer, const LayerBits& bits) {
  const std::vector<int>& groups = model.network.width_groups();
  BitConfig config = uniform_config(model.space, 8, 8);
  for (std::size_t l = 0; l < config.size(); ++l) {
    const int stored = model.weights[l].stored_bits;
    config[l].weight = stored;
    if (groups[l] == groups[static_cast<std::size_t>(layer)] && !model.space.layers[l].fixed)
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

/// Settings with equal work have equal keys.
using WorkKey = std::tuple<std::vector<Packing>, int, int>;

WorkKey work_key(const ModelData& data, const Model& model, int layer, const LayerBits& bits) {
  int largest = 0;
  if (model.kernels().bits_count)  // the product of the bounds decides how long 16-bit sums last
    largest = bits.weight + bits.activation;
  return {model.packings(layer, bits), largest, data.space.layers[static_cast<std::size_t>(layer)].fixed};
}

/// One kernel at one setting.
struct Job {
  BitConfig config;
  int place = 0, times = 1;
  Samples seconds;
};

/// A layer computed with fewer input channels than it has (they share its filters' fate) would cost more with all.
double whole_input(const ModelData& model, const BitConfig& config, int layer) {
  if (layer == 0 || model.network.depthwise(layer)) return 1;
  return static_cast<double>(model.network.in_channels(layer)) / model.network.active_in(layer, config, model.space);
}

/// The fastest kernel at one setting and its time.
ProfileEntry time_setting(Sessions& sessions, const ModelData& model, int layer, const LayerBits& bits) {
  const std::vector<Packing> packings = sessions.model().packings(layer, bits);
  std::vector<Job> jobs;
  for (int place = 0; place < static_cast<int>(packings.size()); ++place) {
    Job job{config_with(model, layer, bits), place, 1, {}};
    const double once = sessions.session(place).time_layer(job.config, layer, 1);
    job.times = std::max(1, static_cast<int>(std::ceil(kShortestTurn / std::max(once, 1e-9))));
    jobs.push_back(std::move(job));
  }
  for (int turn = 0; turn < kTurns; ++turn)
    for (Job& job : jobs) job.seconds.add(sessions.session(job.place).time_layer(job.config, layer, job.times));
  auto best = std::min_element(jobs.begin(), jobs.end(),
                               [](Job& a, Job& b) { return a.seconds.median() < b.seconds.median(); });
  return {layer,
          bits.weight,
          bits.activation,
          bits.active_blocks,
          best->seconds.median() * 1e3 * whole_input(model, best->config, layer),
          best->place,
          packing_name(packings[static_cast<std::size_t>(best->place)])};
}

}  // namespace

std::vector<ProfileEntry> measure_profile(const ModelData& model, const Kernels& kernels, int threads,
                                          const std::function<void(int)>& progress) {
  Sessions sessions(model, kernels, threads);
  std::vector<ProfileEntry> entries;
  for (int l = 0; l < model.network.layer_count(); ++l) {
    const LayerSpace& space = model.space.layers[static_cast<std::size_t>(l)];
    const int stored = model.weights[static_cast<std::size_t>(l)].stored_bits;
    std::map<std::pair<WorkKey, int>, ProfileEntry> timed;
    std::vector<int> widths = space.bits;
    if (std::find(widths.begin(), widths.end(), 8) == widths.end()) widths.push_back(8);  // what costs are relative to
    for (const int w : widths)
      for (const int a : widths)
        for (const int blocks : space.fixed ? std::vector<int>{space.blocks} : timed_blocks(space.blocks)) {
          // A layer that stores one width runs at that one, whatever it is priced as.
          const LayerBits bits{stored < 8 ? stored : w, a, blocks};
          const std::pair key{work_key(model, sessions.model(), l, bits), blocks};
          auto found = timed.find(key);
          if (found == timed.end()) found = timed.emplace(key, time_setting(sessions, model, l, bits)).first;
          ProfileEntry entry = found->second;
          entry.weight = w;
          entry.activation = a;
          entries.push_back(std::move(entry));
        }
    progress(l + 1);
  }
  return entries;
}

double measure_observing(const ModelData& model, const Kernels& kernels) {
  using Clock = std::chrono::steady_clock;
  const Shape input = model.network.input_shape();
  if (input.channels != 1 && input.channels != 3) return 0;
  Random random(1, "profile picture");
  Image luma(input.height, input.width, 1), picture(input.height, input.width, input.channels);
  for (Image* image : {&luma, &picture})
    for (std::uint8_t& pixel : image->pixels) pixel = static_cast<std::uint8_t>(60 + random.below(120));
  const Prepared prepared = preprocess(picture.view(), input, model.preprocessing.stretch);
  AdaptiveSession adaptive(std::make_shared<const Model>(model, &kernels));
  Samples statistics, policy;
  for (int turn = 0; turn < kObservingTurns; ++turn) {
    const Clock::time_point start = Clock::now();
    image_statistics(luma.view());
    statistics.add(std::chrono::duration<double>(Clock::now() - start).count());
    if (PolicyHead::has_policy(model)) policy.add(adaptive.decide(prepared, {std::nullopt, model.default_lambda}).policy_ms / 1e3);
  }
  return (statistics.median() + policy.median()) * 1e3;
}

}  // namespace bitpilot
