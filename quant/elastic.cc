#include "quant/elastic.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/layer_tensors.h"
#include "runtime/core/error.h"
#include "runtime/core/integer.h"

namespace bitpilot {

using torch::Tensor;

namespace {

constexpr int kClipRatios = 16;  // 1.00, 0.95 … 0.25 of a row's range

Tensor round_straight_through(const Tensor& x) { return x.round().detach() + (x - x.detach()); }

// Forward as it is to the bit, gradient times `factor`.
Tensor scale_gradient(const Tensor& x, double factor) { return x.detach() + factor * (x - x.detach()); }

// Codes minus zero point; zero_point [1], undefined: 0.
Tensor shifted_codes(const Tensor& weight, const Tensor& step, const Tensor& zero_point, int bits) {
  const Tensor z = zero_point.defined() ? round_straight_through(zero_point) : torch::zeros({1});
  const Tensor lowest = integer::signed_lowest(bits) - z, highest = integer::signed_highest(bits) - z;
  // Clamped before it is rounded: where a limit binds it takes the gradient, which is how steps and zero points of clipped weights learn.
  return round_straight_through(torch::min(torch::max(weight / step, lowest), highest));
}

// Logarithms of the steps [rows] with the least squared error; range [rows]: the steps that clip nothing.
Tensor search_steps(const Tensor& rows, const Tensor& range, const Tensor& zero_point, int bits) {
  Tensor best_error = torch::full({rows.size(0)}, std::numeric_limits<float>::infinity()), best = range;
  for (int i = 0; i < kClipRatios; ++i) {
    const Tensor step = range * (1 - 0.05 * i);
    const Tensor error = (shifted_codes(rows, step.unsqueeze(1), zero_point, bits) * step.unsqueeze(1) - rows).square().mean(1);
    const Tensor better = error < best_error;
    best_error = torch::where(better, error, best_error);
    best = torch::where(better, step, best);
  }
  return best.log();
}

}  // namespace

const std::vector<Form>& elastic_forms() {
  static const std::vector<Form> forms{{Granularity::kChannel, Symmetry::kSymmetric}, {Granularity::kChannel, Symmetry::kAsymmetric},
                                       {Granularity::kTensor, Symmetry::kSymmetric}, {Granularity::kTensor, Symmetry::kAsymmetric}};
  return forms;
}

std::string form_name(const Form& form) {
  return std::string(form.granularity == Granularity::kTensor ? "tensor" : "channel") + (form.symmetry == Symmetry::kAsymmetric ? "/asymmetric" : "/symmetric");
}

std::vector<Form> draw_forms(const std::vector<Form>& from, int layers, Random random) {
  std::vector<Form> forms;
  for (int l = 0; l < layers; ++l) forms.push_back(from[random.below(from.size())]);
  return forms;
}

BitConfig lowest_bits(BitConfig config, const BitSpace& space) {
  for (std::size_t l = 0; l < config.size(); ++l)
    if (!space.layers[l].fixed) config[l].weight = config[l].activation = space.layers[l].bits.front();
  return config;
}

ElasticSteps::ElasticSteps(const Network& network, const BitSpace& space, const NamedTensors& parameters) {
  torch::NoGradGuard guard;
  entries_.resize(static_cast<std::size_t>(network.layer_count()));
  for (int l = 0; l < network.layer_count(); ++l) {
    names_.push_back(network.layer(l).name);
    if (network.fixed(l)) continue;
    const Tensor weight = tensor_named(parameters, names_.back() + ".weight").detach();
    // One zero point a layer: from the range of the whole tensor, which holds zero.
    const double low = std::min(0.0, weight.min().item<double>()), high = std::max(low + 1e-6, weight.max().item<double>());
    for (const Form& form : elastic_forms()) {
      if (form == Form{}) continue;
      const Tensor rows = weight.reshape({form.granularity == Granularity::kTensor ? 1 : weight.size(0), -1});
      for (const int bits : space.layers[static_cast<std::size_t>(l)].bits) {
        Entry entry{form, bits, {}, {}};
        const double lowest = integer::signed_lowest(bits), highest = integer::signed_highest(bits), codes = highest - lowest;
        Tensor range = 2 * rows.abs().amax(1) / codes;
        if (form.symmetry == Symmetry::kAsymmetric) {
          const double zero = std::clamp(integer::rne(lowest - low * codes / (high - low)), lowest, highest);
          entry.zero_point = torch::full({1}, zero);
          // Each side of a row needs the codes on its side of the zero point; a side without codes sets no range.
          range = torch::zeros({rows.size(0)});
          if (zero > lowest) range = torch::max(range, rows.amin(1) / (lowest - zero));
          if (zero < highest) range = torch::max(range, rows.amax(1) / (highest - zero));
        }
        entry.log_step = search_steps(rows, range.clamp_min(1e-6), entry.zero_point, bits).set_requires_grad(true);
        if (entry.zero_point.defined()) entry.zero_point.set_requires_grad(true);
        entries_[static_cast<std::size_t>(l)].push_back(std::move(entry));
      }
    }
  }
}

const ElasticSteps::Entry& ElasticSteps::entry(int layer, const Form& form, int bits) const {
  for (const Entry& entry : entries_[static_cast<std::size_t>(layer)])
    if (entry.form == form && entry.bits == bits) return entry;
  throw Error(ExitCode::kBug, "no learned steps for " + std::to_string(bits) + " bits, " + form_name(form), names_[static_cast<std::size_t>(layer)], "report this");
}

Tensor ElasticSteps::quantize(int layer, const Tensor& weight, const Form& form, int bits) const {
  const Entry& at = entry(layer, form, bits);
  const Tensor steps = at.log_step.size(0) > weight.size(0) ? at.log_step.narrow(0, 0, weight.size(0)) : at.log_step;
  const double counted = static_cast<double>(weight.numel()) / static_cast<double>(steps.size(0));
  const double scale = 1 / std::sqrt(counted * integer::signed_highest(bits));
  const Tensor step = by_filter(scale_gradient(steps, scale).exp(), weight);
  const Tensor zero = at.zero_point.defined() ? scale_gradient(at.zero_point, scale) : Tensor();
  return shifted_codes(weight, step, zero, bits) * step;
}

WeightCodes ElasticSteps::codes(int layer, const Tensor& weight, const Form& form, int bits) const {
  torch::NoGradGuard guard;
  const Entry& at = entry(layer, form, bits);
  WeightCodes result;
  result.form = form;
  if (at.zero_point.defined()) result.zero_point = static_cast<int>(integer::rne(at.zero_point.item<double>()));
  const Tensor step = at.log_step.exp();
  result.codes = (shifted_codes(weight, by_filter(step, weight), at.zero_point, bits) + result.zero_point).to(torch::kChar).contiguous();
  result.step = step.expand({weight.size(0)}).contiguous();
  return result;
}

NamedTensors ElasticSteps::parameters() const {
  NamedTensors list;
  for (std::size_t l = 0; l < entries_.size(); ++l)
    for (const Entry& entry : entries_[l]) {
      const std::string name = "elastic." + names_[l] + "." + form_name(entry.form) + "." + std::to_string(entry.bits);
      list.emplace_back(name + ".log_step", entry.log_step);
      if (entry.zero_point.defined()) list.emplace_back(name + ".zero_point", entry.zero_point);
    }
  return list;
}

void ElasticSteps::constrain() {
  torch::NoGradGuard guard;
  for (const std::vector<Entry>& layer : entries_)
    for (const Entry& entry : layer)
      if (entry.zero_point.defined()) entry.zero_point.detach().clamp_(integer::signed_lowest(entry.bits), integer::signed_highest(entry.bits));
}

std::optional<Form> ElasticQuantizers::chosen(int layer) const {
  const Form& form = forms_[static_cast<std::size_t>(layer)];
  return steps_->holds(layer) && form != Form{} ? std::optional(form) : std::nullopt;
}

Tensor ElasticQuantizers::weights(int layer, const Tensor& weight, const Tensor& log_step, int bits) const {
  const std::optional<Form> form = chosen(layer);
  return form ? steps_->quantize(layer, weight, *form, bits) : quantize_weights(weight, log_step, bits);
}

std::optional<WeightCodes> ElasticQuantizers::codes(int layer, const Tensor& weight, int bits) const {
  const std::optional<Form> form = chosen(layer);
  return form ? std::optional(steps_->codes(layer, weight, *form, bits)) : std::nullopt;
}

Tensor ElasticQuantizers::activations(int, const Tensor& value, const ActivationQuantizer& quantizer) const {
  return quantize_activations(value, quantizer);
}

}  // namespace bitpilot
