#include <doctest/doctest.h>

#include <set>

#include "runtime/core/backbones.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/random_weights.h"
#include "runtime/kernels/kernels.h"

using namespace bitpilot;

namespace {

/// What the convolutions of a look were asked to do.
struct Asked {
  double products = 0;
  std::set<const std::uint8_t*> weights;  ///< first byte of each filter group read
};
Asked asked;

void recording_conv(const ConvTask& task) {
  const double filters = static_cast<double>(task.groups * task.packing.group);
  asked.products += filters * task.quads * task.tap_count * task.positions;
  for (int group = 0; group < task.groups; ++group)
    asked.weights.insert(task.weights + static_cast<std::size_t>(group) * task.group_bytes);
  active_kernels().conv(task);
}

}  // namespace

TEST_CASE("engine: filters past the active blocks are neither computed nor read") {
  Kernels recording = active_kernels();
  recording.conv = recording_conv;
  const ModelData data = random_weights(make_backbone("resnet18", {3, 64, 64}, 10));
  const auto model = std::make_shared<const Model>(data, &recording);
  Session session(model);
  session.start(std::vector<std::uint8_t>(3 * 64 * 64, 50));
  const auto look = [&](double width) {
    asked = {};
    session.look(uniform_config(data.space, 8, 8, width));
    return asked;
  };
  const Asked whole = look(1), half = look(0.5), quarter = look(0.25);
  // Every layer behind the stem reads and writes half of its channels.
  CHECK(half.products == doctest::Approx(whole.products / 4));
  CHECK(quarter.products == doctest::Approx(whole.products / 16));
  CHECK(half.weights.size() == whole.weights.size() / 2);
  for (const std::uint8_t* group : half.weights) CHECK(whole.weights.count(group) == 1);  // the same memory: no copies
}
