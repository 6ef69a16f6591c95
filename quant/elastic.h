#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "quant/quantizers.h"
#include "runtime/core/network.h"
#include "runtime/core/random.h"

namespace bitpilot {

/// The Forms of an elastic supernet's weights: granularity {channel, tensor} x symmetry {symmetric, asymmetric}; the default Form first.
const std::vector<Form>& elastic_forms();
/// "channel/symmetric", "tensor/asymmetric", …
std::string form_name(const Form& form);

/// A Form for every layer, drawn evenly.
std::vector<Form> draw_forms(const std::vector<Form>& from, int layers, Random random);
/// A path's widths at each adaptive layer's fewest bits.
BitConfig lowest_bits(BitConfig config, const BitSpace& space);

/// Learned steps (and zero points) of the non-default Forms of every adaptive layer, one for each bit-width, over one set of shared weights:
///   x^ = step * (q - z),  q = clamp(rne(w / step) + z, lowest, highest)  with signed codes; symmetric: z = 0
///   step    [1] or [filters], kept as a natural logarithm; zero point [1] a layer, real, rounded in the pass
/// Gradient  straight-through inside the range, 0 outside; to step and zero point by the chain rule through the straight-through rounding,
///           scaled by 1 / sqrt(weights of a step * highest) as learned step sizes are.
/// The default Form is the network's own nested code, of which one file holds every width; the source learns a step a width for it too.
/// Activations keep the paths' learned steps: behind a ReLU a symmetric and an asymmetric code are the same unsigned one.
/// Source    EQ-Net, arXiv:2308.07650; learned step size, arXiv:1902.08153.
class ElasticSteps {
 public:
  /// Every Form and width starts with the least squared error over a grid of clip ratios.
  /// parameters   of the network; stem and classifier are left to its own steps.
  ElasticSteps(const Network& network, const BitSpace& space, const NamedTensors& parameters);

  /// A layer's weights as a pass of a non-default Form computes with them.
  torch::Tensor quantize(int layer, const torch::Tensor& weight, const Form& form, int bits) const;
  /// The same as integers, of the whole layer.
  WeightCodes codes(int layer, const torch::Tensor& weight, const Form& form, int bits) const;

  std::size_t layers() const { return entries_.size(); }
  /// Whether the layer has Forms to choose from.
  bool holds(int layer) const { return !entries_[static_cast<std::size_t>(layer)].empty(); }
  /// "elastic.LAYER.FORM.BITS.log_step" and ".zero_point".
  NamedTensors parameters() const;
  /// Keeps the zero points inside the range of their codes.
  void constrain();

 private:
  struct Entry {
    Form form;
    int bits = 8;
    torch::Tensor log_step, zero_point;  ///< zero_point undefined: symmetric
  };
  const Entry& entry(int layer, const Form& form, int bits) const;

  std::vector<std::string> names_;           ///< [layer]
  std::vector<std::vector<Entry>> entries_;  ///< [layer]
};

/// One choice of Forms as the arithmetic of a pass; many passes share the steps.
class ElasticQuantizers : public Quantizers {
 public:
  /// forms [layer]; those of stem and classifier are not read.
  ElasticQuantizers(std::shared_ptr<ElasticSteps> steps, std::vector<Form> forms) : steps_(std::move(steps)), forms_(std::move(forms)) {}
  /// Not while a pass runs.
  void set_forms(std::vector<Form> forms) { forms_ = std::move(forms); }
  const std::vector<Form>& forms() const { return forms_; }

  torch::Tensor weights(int layer, const torch::Tensor& weight, const torch::Tensor& log_step, int bits) const override;
  std::optional<WeightCodes> codes(int layer, const torch::Tensor& weight, int bits) const override;
  bool own_activations() const override { return false; }
  torch::Tensor activations(int layer, const torch::Tensor& value, const ActivationQuantizer& quantizer) const override;
  NamedTensors parameters() const override { return steps_->parameters(); }
  void constrain() override { steps_->constrain(); }

 private:
  /// The layer's Form, if it is not the network's own arithmetic.
  std::optional<Form> chosen(int layer) const;

  std::shared_ptr<ElasticSteps> steps_;
  std::vector<Form> forms_;
};

}  // namespace bitpilot
