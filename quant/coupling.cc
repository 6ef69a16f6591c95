#include "quant/coupling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "quant/layer_tensors.h"
#include "runtime/core/integer.h"

namespace bitpilot {

using torch::Tensor;

namespace {

constexpr double kNear = 0.375;  // of a step: the outer quarter of the half step around a code
constexpr double kSourceEpochs = 150;

std::int64_t scaled(double source_epochs, std::int64_t epochs) {
  return std::max<std::int64_t>(1, std::llround(source_epochs / kSourceEpochs * static_cast<double>(epochs)));
}

// A depthwise filter of nine weights has nothing that could make up for a wrong one: the source never offers it 2 bits.
int lowest_offer(const Network& network, int layer) { return network.depthwise(layer) ? 3 : 2; }

}  // namespace

double turbulence(const Tensor& weight, const Tensor& log_step, const std::vector<int>& candidates) {
  torch::NoGradGuard guard;
  const Tensor rows = weight.detach().reshape({weight.size(0), -1}).to(torch::kDouble);
  const Tensor step = log_step.detach().to(torch::kDouble).exp().unsqueeze(1);
  double sum = 0;
  for (const int bits : candidates) {
    const double lowest = integer::signed_lowest(bits), highest = integer::signed_highest(bits);
    const Tensor at = rows / (step * std::exp2(8 - bits)), code = at.round().clamp(lowest, highest), beyond = at - code;
    const Tensor near = ((beyond > kNear) & (code < highest)) | ((beyond < -kNear) & (code > lowest));
    sum += near.to(torch::kDouble).mean().item<double>() / bits;
  }
  return sum / static_cast<double>(candidates.size());
}

BitWidthScheduler::BitWidthScheduler(const Network& network, const BitSpace& space, std::int64_t epochs)
    : network_(network), space_(space), epochs_(epochs), frozen_(torch::zeros({network.layer_count()})) {}

bool BitWidthScheduler::due(std::int64_t epoch) const {
  const bool early = static_cast<double>(epoch) < 0.72 * static_cast<double>(epochs_);
  return epoch >= scaled(5, epochs_) && (epoch + 1) % scaled(early ? 2 : 15, epochs_) == 0;
}

double BitWidthScheduler::ratio(std::int64_t epoch) const {
  const double at = static_cast<double>(epoch - scaled(5, epochs_)) / static_cast<double>(epochs_);
  return 0.2 + 0.3 * 0.5 * (1 + std::cos(std::numbers::pi * std::clamp(at, 0.0, 1.0)));
}

BitSpace BitWidthScheduler::weights() const {
  BitSpace now = space_;
  for (std::size_t l = 0; l < now.layers.size(); ++l)
    if (frozen_.data_ptr<float>()[l] > 0) now.layers[l].bits.erase(now.layers[l].bits.begin());
  return now;
}

FreezeEvent BitWidthScheduler::update(std::int64_t epoch, const NamedTensors& parameters) {
  FreezeEvent event;
  event.ratio = ratio(epoch);
  const BitSpace before = weights();
  std::vector<int> order;
  for (int l = 0; l < network_.layer_count(); ++l) {
    const std::string& name = network_.layer(l).name;
    event.turbulence.push_back(0);
    if (network_.fixed(l)) continue;
    order.push_back(l);
    event.turbulence.back() = turbulence(tensor_named(parameters, name + ".weight"), tensor_named(parameters, name + ".log_step"), before.layers[l].bits);
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return event.turbulence[a] > event.turbulence[b]; });
  order.resize(static_cast<std::size_t>(event.ratio * static_cast<double>(order.size())));
  const Tensor was_frozen = frozen_.clone();
  frozen_.zero_();
  for (const int l : order) {
    const std::vector<int>& bits = space_.layers[l].bits;
    if (bits.size() < 2 || bits.front() > lowest_offer(network_, l)) continue;
    frozen_.data_ptr<float>()[l] = 1;
    event.frozen.push_back(l);
  }
  for (int l = 0; l < network_.layer_count(); ++l)
    if (was_frozen.data_ptr<float>()[l] > frozen_.data_ptr<float>()[l]) event.restored.push_back(l);
  return event;
}

std::vector<int> at_smallest(const BitConfig& config, const BitSpace& weights) {
  std::vector<int> layers;
  for (std::size_t l = 0; l < config.size(); ++l)
    if (!weights.layers[l].fixed && config[l].weight == weights.layers[l].bits.front()) layers.push_back(static_cast<int>(l));
  return layers;
}

void keep_to(const BitSpace& weights, Random random, BitConfig& config) {
  for (std::size_t l = 0; l < config.size(); ++l) {
    const std::vector<int>& bits = weights.layers[l].bits;
    if (config[l].weight < bits.front()) config[l].weight = bits[random.below(bits.size())];
  }
}

}  // namespace bitpilot
