#include "runtime/core/nearest_config.h"

#include <array>
#include <cmath>
#include <string>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

/// In millionths: 3 bits instead of 4 are then as far as 4 instead of 3, however a machine rounds its logarithms.
long long distance(const LayerBits& a, const LayerBits& b, int blocks) {
  return std::llround(1e6 * (std::abs(std::log2(static_cast<double>(a.weight) / b.weight)) +
                             std::abs(std::log2(static_cast<double>(a.activation) / b.activation)) +
                             4.0 * std::abs(a.active_blocks - b.active_blocks) / blocks));
}

}  // namespace

std::size_t nearest_config(const BitConfig& config, int layer, const std::vector<FusedStep>& steps, const BitSpace& space,
                           const std::vector<const BitConfig*>& candidates) {
  const int read = steps[static_cast<std::size_t>(layer)].source;
  std::size_t nearest = candidates.size();
  std::array<long long, 3> least{};
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    if (candidates[c] == nullptr) continue;
    const auto apart = [&](std::size_t l) { return distance((*candidates[c])[l], config[l], space.layers[l].blocks); };
    std::array<long long, 3> now{apart(static_cast<std::size_t>(layer)), read < 0 ? 0 : apart(static_cast<std::size_t>(read)), 0};
    for (std::size_t l = 0; l < config.size(); ++l) now[2] += apart(l);
    if (nearest < candidates.size() && now >= least) continue;
    nearest = c;
    least = now;
  }
  if (nearest == candidates.size()) throw Error(ExitCode::kBug, "no path or anchor is as wide as the configuration", "layer " + std::to_string(layer), "report this");
  return nearest;
}

}  // namespace bitpilot
