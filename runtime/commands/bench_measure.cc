#include "runtime/commands/bench_measure.h"

#include <chrono>

#include "data/preprocessor.h"
#include "runtime/adaptive.h"
#include "runtime/commands/bench_peak.h"
#include "runtime/core/random.h"
#include "runtime/kernels/kernels.h"

namespace bitpilot {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLeastTurns = 15;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

template <class Work>
void add_time(Samples& samples, const Work& work) {
  const Clock::time_point start = Clock::now();
  work();
  samples.add(seconds_since(start));
}

/// Smooth light and dark areas under some noise: the policy's statistics find something to look at.
Image sample_picture(const Shape& shape) {
  Random random(1, "bench picture");
  Image image(shape.height, shape.width, shape.channels == 1 ? 1 : 3);
  std::size_t at = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      for (int c = 0; c < image.channels; ++c)
        image.pixels[at++] = static_cast<std::uint8_t>(60 + (x * 4 + y * 3) % 120 + static_cast<int>(random.below(40)));
  return image;
}

/// Networks of 1 or 3 channels see the picture; others see random codes.
std::vector<std::uint8_t> sample_codes(const ModelData& model, const Image& picture) {
  const Shape input = model.network.input_shape();
  if (input.channels == 1 || input.channels == 3)
    return preprocess(picture.view(), input, model.preprocessing.stretch).codes;
  Random random(1, "bench codes");
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(input.channels * input.height * input.width));
  for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random.below(256));
  return codes;
}

/// Working memory that `run` too keeps from picture to picture.
struct Warm {
  Preprocessor preprocessor;
  Prepared prepared;
  AdaptiveSession adaptive;
};

/// One turn of everything before the network's rest, and of the policy.
void measure_stages(const ModelData& model, const Image& picture, const Image& luma, Warm& warm, BenchTimes& times) {
  const Shape input = model.network.input_shape();
  if (input.channels != 1 && input.channels != 3) return;
  add_time(times.preprocess, [&] {
    warm.preprocessor.prepare(picture.view(), input, model.preprocessing.stretch, /*statistics=*/true, warm.prepared);
  });
  add_time(times.statistics, [&] { image_statistics(luma.view()); });
  if (!PolicyHead::has_policy(model)) return;
  DecisionRule rule;
  rule.lambda = model.default_lambda;
  const auto decide = [&](Samples& whole, Samples& policy) {
    const Clock::time_point start = Clock::now();
    const Decision& decision = warm.adaptive.decide(warm.prepared, rule);
    whole.add(seconds_since(start));
    policy.add(decision.policy_ms / 1e3);
  };
  decide(times.decision, times.policy);
  rule.guard = false;
  if (!warm.adaptive.reads_statistics(rule)) decide(times.unguarded, times.choosing);
}

void measure_config(Session& session, const std::vector<std::uint8_t>& codes, ConfigTimes& times, Samples& stem) {
  const auto pass = [&] {
    const Clock::time_point start = Clock::now();
    add_time(stem, [&] { session.start(codes); });
    session.look(times.config);
    return seconds_since(start);
  };
  const double after_other = pass(), again = pass();
  times.switching.add(after_other - again);
  times.pass.add(again);
  std::vector<double> seconds(times.layers.size(), 0);
  session.time_layers(codes, times.config, seconds);
  for (std::size_t l = 0; l < seconds.size(); ++l) times.layers[l].add(seconds[l]);
}

}  // namespace

BenchTimes measure(const std::shared_ptr<const Model>& model, std::vector<ConfigTimes> configs, int threads,
                   double seconds) {
  const ModelData& data = model->data();
  BenchTimes times;
  times.configs = std::move(configs);
  for (ConfigTimes& config : times.configs) config.layers.resize(static_cast<std::size_t>(data.network.layer_count()));
  Session session(model, threads);
  Warm warm{{}, {}, AdaptiveSession(model)};
  const Shape input = data.network.input_shape();
  const Image picture = sample_picture(input), luma = sample_picture({1, input.height, input.width});
  const std::vector<std::uint8_t> codes = sample_codes(data, picture);
  for (const ConfigTimes& config : times.configs) {
    session.start(codes);
    session.look(config.config);  // makes its plan
  }
  const Clock::time_point start = Clock::now();
  PeakMeter peak(model->kernels().peak, [start] { return seconds_since(start); });
  for (int turn = 0; turn < kLeastTurns || seconds_since(start) < seconds; ++turn) {
    measure_stages(data, picture, luma, warm, times);
    for (ConfigTimes& config : times.configs) measure_config(session, codes, config, times.stem);
    peak.keep_up(seconds_since(start));
  }
  times.peak = peak.peak();
  return times;
}

}  // namespace bitpilot
