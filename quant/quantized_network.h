#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "quant/quantizers.h"
#include "runtime/core/fusion.h"
#include "runtime/core/network.h"

namespace bitpilot {

/// One configuration that the shared weights are trained for; it owns its normalisation, activation steps and class-score gain.
struct PathSpec {
  std::string name;
  BitConfig config;
};

/// How normalisations behave in one forward pass.
struct ForwardMode {
  bool batch_statistics = true;  ///< false: running averages (evaluation)
  double momentum = 0.1;         ///< of the running averages when batch statistics are used; 0 leaves them alone
};

/// Normalised outputs of chosen layers of one pass, [N, C, H, W] before Add, ReLU and quantisers, with their way back into the pass.
struct NormalizedOutputs {
  std::vector<bool> wanted;           ///< [layer]; empty = none
  std::vector<torch::Tensor> values;  ///< [layer], filled by the pass where wanted
};

/// A Network as a trainable module with switchable bit-widths and widths over one set of weights (a supernet).  The stem and its
/// normalisation are shared by all paths: it is computed once a picture.
class QuantizedNetwork {
 public:
  /// `quantized` false: a float network (one path, whole, no rounding).  He-initialised from `seed`.
  QuantizedNetwork(const Network& network, const BitSpace& space, std::vector<PathSpec> paths, bool quantized, std::uint64_t seed);

  const Network& network() const { return network_; }
  const BitSpace& space() const { return space_; }
  const std::vector<PathSpec>& paths() const { return specs_; }

  /// Value behind the stem (after ReLU and pool), [N, C, H, W]; src float [N, C, H, W] in [0, 1].
  torch::Tensor stem(const torch::Tensor& src, const ForwardMode& mode);
  /// Class scores [N, classes] of path `path` from the stem's value.  Different paths may run in different threads at once.
  torch::Tensor forward(int path, const torch::Tensor& stem_value, const ForwardMode& mode, NormalizedOutputs* outputs = nullptr);
  /// Class scores of any configuration: every layer takes the parameters of the nearest path (nearest_config()) that has all of its
  /// filters; batch statistics, running averages untouched.  `quantizers` replaces the network's own in this pass.
  torch::Tensor forward_config(const BitConfig& config, const torch::Tensor& stem_value, const Quantizers* quantizers = nullptr,
                               NormalizedOutputs* outputs = nullptr);

  /// Class scores at fractional bits, one set a picture, with everything of the network frozen: bits f32 [N, L, 2] (weight, activation) of
  /// every weight layer, each between two rungs of that layer's candidates: Q_b = (1 - f) Q_lo + f Q_hi with lo at most the last rung but
  /// one, so that the gradient does not vanish on a rung.  Or shares f32 [N, L, 2, R] of every layer's candidates in order (R: the most of
  /// any layer; each row sums to 1): then every candidate gets its own gradient, which costs a convolution each.  `path` gives widths,
  /// normalisation and steps.  Differentiable in `bits` only.
  /// Source: Yang & Jin, FracBits, arXiv:2007.02017.
  torch::Tensor forward_fractional(int path, const torch::Tensor& stem_value, const torch::Tensor& bits);

  /// Another arithmetic than nested learned steps; nullptr = those.  Not read by forward_fractional.
  void set_quantizers(std::shared_ptr<Quantizers> quantizers) { quantizers_ = std::move(quantizers); }

  /// Called with (fused step, value before its quantisers) during forward passes of `path`, for calibration; nullptr = off.
  using ValueHook = std::function<void(int step, const torch::Tensor& value)>;
  void set_hook(ValueHook hook) { hook_ = std::move(hook); }

  /// Everything that the optimiser moves / everything else that a checkpoint must hold.
  NamedTensors parameters() const;
  NamedTensors buffers() const;
  /// Keeps normalisation scales positive (their sign could not be folded into shared weights) and everything held where it must stay.
  /// Call after every optimiser step.
  void constrain();
  /// From now on whatever the held paths compute stays as it is, to the bit: their weight codes, the steps of the filters that they run
  /// and the stem in front of them.  Wider codes may still move inside the narrow code that they round to, and weights that no held path
  /// reads are free.  Depends on the network's present state alone; replaces earlier holds; empty = nothing is held.
  void hold(const std::vector<int>& paths);
  /// Paths in `fresh` take over the normalisation of a trained path with the same filters, where there is one.
  void continue_paths(const std::vector<int>& trained, const std::vector<int>& fresh);

  /// A copy of the weights with other paths, found after training: layer by layer each takes the parameters that forward_config would
  /// borrow.  Wants recalibrate() before it is used.
  QuantizedNetwork with_paths(std::vector<PathSpec> paths) const;

  /// Takes weights and normalisations of a trained float network of the same graph, orders filters by importance inside each width
  /// group, and starts every step size by search on the float network's values over `src` [N, C, H, W].
  void start_from(const QuantizedNetwork& float_network, const torch::Tensor& src);

 private:
  friend class ModelExporter;
  struct LayerParameters {
    torch::Tensor weight;    ///< [O, I / groups, K, K] or [O, I]
    torch::Tensor log_step;  ///< [O], of the 8-bit code
  };
  struct PathLayer {
    torch::Tensor gamma, beta, mean, variance;  ///< [active out]; classifier: gamma [1] = score gain, beta [classes] = bias
  };
  struct ValueQuantizer {
    int step = 0, bits = 8;
    torch::Tensor log_step;
  };
  struct Path {
    std::vector<PathLayer> layers;
    std::vector<ValueQuantizer> quantizers;
    std::vector<int> quantizer_of;  ///< [layer]: which quantizer's output the layer reads
  };

  struct Hold {
    torch::Tensor lowest, highest;  ///< of the latent weight, as the weight
    torch::Tensor step;             ///< [O] logarithm
    std::int64_t rows = 0;          ///< filters whose step is held
  };

  // One pass in progress: what each fused step has produced.
  struct Produced {
    torch::Tensor value;
    std::vector<std::pair<int, torch::Tensor>> quantized;  ///< by bits
  };
  torch::Tensor run(const BitConfig& config, const std::vector<const Path*>& source, const torch::Tensor& stem_value,
                    const ForwardMode& mode, const Quantizers* quantizers, NormalizedOutputs* outputs);
  torch::Tensor layer_weight(int layer, const BitConfig& config, const Quantizers* quantizers) const;
  torch::Tensor classify(const torch::Tensor& src, const BitConfig& config, const PathLayer& parameters, const Quantizers* quantizers) const;
  void finish_step(const FusedStep& step, Produced* produced) const;
  Path make_path(const BitConfig& config) const;
  std::size_t nearest_path(int layer, const BitConfig& config) const;
  std::vector<torch::Tensor> filter_orders() const;
  void sort_filters();
  void start_steps(const torch::Tensor& src, QuantizedNetwork* ordered_float);

  Network network_;
  BitSpace space_;
  bool quantized_;
  std::vector<FusedStep> steps_;
  std::vector<PathSpec> specs_;
  std::vector<LayerParameters> layers_;
  PathLayer stem_;
  std::vector<Path> paths_;
  std::vector<Hold> holds_;  ///< [layer], empty while nothing is held
  torch::Tensor held_stem_gamma_, held_stem_beta_;
  std::shared_ptr<Quantizers> quantizers_;
  ValueHook hook_;
};

}  // namespace bitpilot
