#include "runtime/engine/step_numbers.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr std::size_t kPadding = 16;
/// When there are more, all are forgotten: a few hundred bytes each.
constexpr std::size_t kMaxFolds = 4096;

/// The bias with the input's zero point taken in: -z_a * sum(e) over the filter, times the pixels of a global average
/// pool.  Wraps modulo 2^32 like the sums it is added to; fold_layer has checked that the whole fits.
std::vector<std::int32_t> shifted_bias(const FoldedLayer& folded, int pixels) {
  std::vector<std::int32_t> bias(folded.bias);
  if (folded.input_zero_point == 0) return bias;
  const std::vector<std::int16_t> weights = effective_weights(folded);
  const std::size_t filter = weights.size() / bias.size();
  for (std::size_t o = 0; o < bias.size(); ++o) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < filter; ++i) sum += weights[o * filter + i];
    const std::int64_t shift = sum * folded.input_zero_point * pixels;
    bias[o] = static_cast<std::int32_t>(static_cast<std::uint32_t>(bias[o]) - static_cast<std::uint32_t>(shift));
  }
  return bias;
}

float checked(double value, const std::string& where) {
  const auto narrow = static_cast<float>(value);
  if (!std::isfinite(narrow))
    throw Error(ExitCode::kData, "a scale of the layer is no finite number", where, "export the model again");
  return narrow;
}

int pixels_summed(const Network& network, const FusedStep& step) {
  const Node& source = network.nodes[static_cast<std::size_t>(network.layer(step.layer).inputs[0])];
  if (source.op != Op::kGlobalAvgPool) return 1;
  const Shape& shape = network.nodes[static_cast<std::size_t>(source.inputs[0])].shape;
  return shape.height * shape.width;
}

/// Codes that a step stores: one for its Adds, one for each distinct code that its readers want.
void find_outputs(const ModelData& model, const FusedStep& step,
                  const std::vector<std::shared_ptr<const FoldedLayer>>& folded, StepNumbers& numbers) {
  const std::string& name = model.network.layer(step.layer).name;
  const Carry& carry = model.carries[static_cast<std::size_t>(step.layer)];
  const bool stem = step.layer == 0;
  if (step.carry)
    numbers.outputs.push_back({8, checked(1.0 / static_cast<double>(carry.step), name), carry.zero_point});
  std::vector<float> steps_of_outputs(numbers.outputs.size(), carry.step);
  for (const int reader : step.readers) {
    const FoldedLayer& wanted = *folded[static_cast<std::size_t>(reader)];
    const double unit = stem ? static_cast<double>(carry.step) : 1.0;
    const StepNumbers::Output output{
        wanted.activation_bits, checked(unit / static_cast<double>(wanted.input_step), name), wanted.input_zero_point};
    std::size_t found = step.carry ? 1 : 0;  // a carry is never shared with a reader
    while (found < numbers.outputs.size() &&
           !(numbers.outputs[found].bits == output.bits && numbers.outputs[found].zero_point == output.zero_point &&
             steps_of_outputs[found] == wanted.input_step))
      ++found;
    if (found == numbers.outputs.size()) {
      numbers.outputs.push_back(output);
      steps_of_outputs.push_back(wanted.input_step);
    }
    numbers.output_of_readers.push_back(static_cast<int>(found));
  }
  // A single code and no Add (and the stem's carry): one product straight into units of the code.
  const bool one_product = stem || (numbers.outputs.size() == 1 && step.add_operand < 0);
  const double divisor = one_product && !numbers.outputs.empty() ? static_cast<double>(steps_of_outputs[0]) : 1.0;
  for (const double multiplier : folded[static_cast<std::size_t>(step.layer)]->multiplier)
    numbers.multiplier.push_back(checked(multiplier / divisor, name));
  if (one_product && !numbers.outputs.empty()) numbers.outputs[0].scale = 1;
}

std::size_t padded(std::size_t size) { return (size + kPadding - 1) / kPadding * kPadding; }

}  // namespace

std::vector<std::int16_t> effective_weights(const FoldedLayer& folded) {
  std::vector<std::int16_t> weights;
  weights.reserve(folded.codes.size());
  for (const std::int8_t code : folded.codes)
    weights.push_back(static_cast<std::int16_t>(folded.accumulator.g * code + folded.accumulator.h));
  return weights;
}

bool stays_bounded(const StepNumbers& numbers, float carry_step, float scale) {
  double largest = 0;
  for (const float multiplier : numbers.multiplier)
    largest = std::max(largest, std::abs(static_cast<double>(multiplier)));
  constexpr double kSums = 2147483648.0, kCodes = 255.0;
  const double reach =
      (largest * kSums + std::abs(static_cast<double>(carry_step)) * kCodes) * std::abs(static_cast<double>(scale));
  return reach < kSums / 2;
}

std::shared_ptr<const FoldedLayer> FoldCache::fold(const ModelData& model, const FusedStep& step,
                                                   const BitConfig& config) {
  const LayerBits& bits = config[static_cast<std::size_t>(step.layer)];
  const Key key{step.layer,
                bits.weight,
                bits.activation,
                model.network.active_out(step.layer, config, model.space),
                model.network.active_in(step.layer, config, model.space),
                choose_calibration(model, config, step.layer).calibration};
  {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(key);
    if (found != kept_.end()) return found->second;
  }
  FoldedLayer folded = fold_layer(model, config, step.layer);
  folded.bias = shifted_bias(folded, pixels_summed(model.network, step));
  folded.codes = {};
  auto made = std::make_shared<const FoldedLayer>(std::move(folded));
  const std::lock_guard lock(mutex_);
  if (kept_.size() >= kMaxFolds) kept_.clear();
  kept_[key] = made;
  return made;
}

std::vector<StepNumbers> resolve(const ModelData& model, const std::vector<FusedStep>& steps, const BitConfig& config,
                                 FoldCache& folds) {
  check_config(model.network, model.space, config);
  std::vector<std::shared_ptr<const FoldedLayer>> folded;
  for (const FusedStep& step : steps) folded.push_back(folds.fold(model, step, config));
  std::vector<StepNumbers> all;
  for (const FusedStep& step : steps) {
    const FoldedLayer& layer = *folded[static_cast<std::size_t>(step.layer)];
    StepNumbers numbers;
    numbers.bits = config[static_cast<std::size_t>(step.layer)];
    numbers.active_out = layer.active_out;
    numbers.active_in = layer.active_in;
    numbers.input_zero_point = layer.input_zero_point;
    numbers.bias = layer.bias;
    find_outputs(model, step, folded, numbers);
    numbers.multiplier.resize(padded(numbers.multiplier.size()), 0.0F);
    numbers.bias.resize(padded(numbers.bias.size()), 0);
    all.push_back(std::move(numbers));
  }
  return all;
}

}  // namespace bitpilot
