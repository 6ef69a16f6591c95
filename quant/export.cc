#include "quant/export.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/error.h"
#include "runtime/core/integer.h"

namespace bitpilot {

using torch::Tensor;

namespace {
constexpr double kEpsilon = 1e-5;  // of the normalisations, as in fake_quant.cc
constexpr double kInputStep = 1.0 / 255.0;
}  // namespace

/// Reads a trained network's parameters into a ModelData.
class ModelExporter {
 public:
  ModelExporter(QuantizedNetwork* network, const CalibrationBatches& batches) : network_(*network), batches_(batches) {}

  ModelData run() {
    torch::NoGradGuard guard;
    ModelData model;
    model.network = network_.network_;
    model.space = network_.space_;
    const int layers = network_.network_.layer_count();
    for (const PathSpec& spec : network_.specs_) {
      Anchor anchor;
      anchor.name = spec.name;
      anchor.config = spec.config;
      anchor.layers.resize(layers);
      model.anchors.push_back(std::move(anchor));
    }
    for (int l = 0; l < layers; ++l) {
      model.weights.push_back(layer_weights(l));
      calibrate_layer(l, &model);
    }
    model.carries = carries();
    return model;
  }

 private:
  // Real value of one code of filter o at one accumulator unit, apart from the input's step: step * gamma / deviation, per active filter.
  std::vector<double> filter_scale(int layer, int path) const {
    const Tensor& step = code_steps_[layer];
    const int last = network_.network_.layer_count() - 1;
    const auto& norm = layer == 0 ? network_.stem_ : network_.paths_[path].layers[layer];
    std::vector<double> scale;
    for (std::int64_t o = 0; o < norm.beta.size(0); ++o) {
      double value = step[o].item<double>();
      if (layer == last) value *= norm.gamma[0].item<double>();
      else value *= norm.gamma[o].item<double>() / std::sqrt(norm.variance[o].item<double>() + kEpsilon);
      scale.push_back(value);
    }
    return scale;
  }

  // What is added to the scaled sum: beta - gamma * mean / deviation.
  std::vector<double> filter_shift(int layer, int path) const {
    const int last = network_.network_.layer_count() - 1;
    const auto& norm = layer == 0 ? network_.stem_ : network_.paths_[path].layers[layer];
    std::vector<double> shift;
    for (std::int64_t o = 0; o < norm.beta.size(0); ++o) {
      double value = norm.beta[o].item<double>();
      if (layer != last)
        value -= norm.gamma[o].item<double>() * norm.mean[o].item<double>() / std::sqrt(norm.variance[o].item<double>() + kEpsilon);
      shift.push_back(value);
    }
    return shift;
  }

  // The one width of a layer's weights in all paths.
  int single_width(int layer) const {
    const int bits = network_.specs_.front().config[layer].weight;
    for (const PathSpec& spec : network_.specs_)
      if (spec.config[layer].weight != bits)
        throw Error(ExitCode::kData, "codes that are not nested serve one width a file, paths ask for " + std::to_string(bits) + " and " + std::to_string(spec.config[layer].weight) + " bits",
                    network_.network_.layer(layer).name, "export each configuration on its own");
    return bits;
  }

  // Stored codes and form; the real value of one code goes to code_steps_.
  LayerWeights layer_codes(int layer) {
    const auto& parameters = network_.layers_[layer];
    const Tensor w = parameters.weight.detach().contiguous();
    LayerWeights weights;
    if (network_.quantizers_) {
      const auto own = network_.quantizers_->codes(layer, w, network_.specs_.front().config[layer].weight);
      if (own) {
        weights.form.symmetry = own->form.symmetry;
        weights.stored_bits = single_width(layer);
        weights.zero_point = own->zero_point;
        const Tensor codes = own->codes.contiguous();
        weights.codes.assign(codes.data_ptr<std::int8_t>(), codes.data_ptr<std::int8_t>() + codes.numel());
        code_steps_.push_back(own->step.contiguous());
        return weights;
      }
    }
    const std::int64_t rows = w.size(0), count = w.numel() / rows;
    code_steps_.push_back(parameters.log_step.detach().exp());
    for (std::int64_t o = 0; o < rows; ++o) {
      // The same float32 arithmetic as the training forward, so that no code differs from what was trained.
      const float inverse = 1.0F / code_steps_.back().data_ptr<float>()[o];
      for (std::int64_t i = 0; i < count; ++i) {
        const float code = std::nearbyint(std::clamp(w.data_ptr<float>()[o * count + i] * inverse, -128.0F, 127.0F));
        weights.codes.push_back(static_cast<std::int8_t>(code));
      }
    }
    return weights;
  }

  LayerWeights layer_weights(int layer) {
    LayerWeights weights = layer_codes(layer);
    const std::int64_t rows = code_steps_.back().size(0);
    // One shared scale a filter: the geometric mean over the anchors that compute it.
    std::vector<double> logs(rows, 0.0);
    std::vector<int> counts(rows, 0);
    for (std::size_t p = 0; p < network_.paths_.size(); ++p) {
      const std::vector<double> scale = filter_scale(layer, static_cast<int>(p));
      for (std::size_t o = 0; o < scale.size(); ++o) {
        logs[o] += std::log(scale[o]);
        ++counts[o];
      }
    }
    for (std::int64_t o = 0; o < rows; ++o) weights.channel_scale.push_back(counts[o] ? static_cast<float>(std::exp(logs[o] / counts[o])) : 1.0F);
    return weights;
  }

  void calibrate_layer(int layer, ModelData* model) const {
    const LayerWeights& weights = model->weights[layer];
    for (std::size_t p = 0; p < model->anchors.size(); ++p) {
      Anchor& anchor = model->anchors[p];
      LayerCalibration& to = anchor.layers[layer];
      to.input_step = static_cast<float>(kInputStep);
      if (layer > 0) {
        const auto& path = network_.paths_[p];
        const auto& quantizer = path.quantizers[path.quantizer_of[layer]];
        to.input_step = static_cast<float>(std::exp(quantizer.log_step.item<double>()));
        to.input_zero_point = network_.steps_[quantizer.step].relu ? 0 : 1 << (quantizer.bits - 1);
      }
      const std::vector<double> scale = filter_scale(layer, static_cast<int>(p)), shift = filter_shift(layer, static_cast<int>(p));
      std::vector<double> ratio;
      double mean = 0;
      for (std::size_t o = 0; o < scale.size(); ++o) {
        ratio.push_back(std::log2(scale[o] / weights.channel_scale[o]));
        mean += ratio.back() / static_cast<double>(scale.size());
      }
      to.gain = static_cast<float>(std::exp2(mean));
      to.channel_gain.assign(weights.channel_scale.size(), 0);
      std::vector<double> bias;
      const double unit = static_cast<double>(to.input_step) * (1 << (weights.stored_bits - anchor.config[layer].weight)) * to.gain;
      for (std::size_t o = 0; o < scale.size(); ++o) {
        const double code = std::clamp(integer::rne(64.0 * (ratio[o] - mean)), -127.0, 127.0);
        to.channel_gain[o] = static_cast<std::int8_t>(code);
        bias.push_back(shift[o] / (unit * weights.channel_scale[o] * std::exp2(code / 64.0)) * pool_size(layer));
      }
      set_offsets(bias, weights.channel_scale.size(), network_.network_.layer(layer).name, &to);
    }
  }

  // Behind a global average pool the accumulator holds sums over the picture: its bias grows by the same factor.
  double pool_size(int layer) const {
    const int source = network_.steps_[layer].source;
    if (source < 0 || network_.steps_[source].pool_node < 0) return 1;
    const FusedStep& step = network_.steps_[source];
    if (network_.network_.nodes[step.pool_node].op != Op::kGlobalAvgPool) return 1;
    return static_cast<double>(step.value_shape.height) * step.value_shape.width;
  }

  static void set_offsets(const std::vector<double>& bias, std::size_t filters, const std::string& name, LayerCalibration* to) {
    double largest = 0;
    for (const double b : bias) largest = std::max(largest, std::abs(b));
    if (!(largest < 0x1p30)) throw Error(ExitCode::kData, "an offset is too large for integer inference", name, "train longer or with a smaller rate");
    to->offset_shift = 0;
    while (largest > 32767.0 * (1 << to->offset_shift)) ++to->offset_shift;
    to->offset.assign(filters, 0);
    for (std::size_t o = 0; o < bias.size(); ++o)
      to->offset[o] = static_cast<std::int16_t>(std::clamp(integer::rne(bias[o] / (1 << to->offset_shift)), -32767.0, 32767.0));
  }

  // Steps of the 8-bit codes that Adds (and the stem's readers) see: searched on the values of all paths together.
  std::vector<Carry> carries() {
    std::vector<std::vector<Tensor>> values(network_.steps_.size());
    bool first = true;
    batches_([&](const Tensor& src) {
      if (!first) return;
      first = false;
      const Tensor pictures = src.narrow(0, 0, std::min<std::int64_t>(src.size(0), 256));
      network_.set_hook([&](int step, const Tensor& value) {
        if (network_.steps_[step].carry) values[step].push_back(value.flatten());
      });
      const ForwardMode evaluation{/*batch_statistics=*/false, /*momentum=*/0};
      const Tensor stem = network_.stem(pictures, evaluation);
      for (std::size_t p = 0; p < network_.specs_.size(); ++p) network_.forward(static_cast<int>(p), stem, evaluation);
      network_.set_hook(nullptr);
    });
    std::vector<Carry> result(network_.steps_.size());
    for (std::size_t s = 0; s < result.size(); ++s) {
      const FusedStep& step = network_.steps_[s];
      if (!step.carry) continue;
      if (values[s].empty()) throw Error(ExitCode::kBug, "no calibration value", network_.network_.nodes[step.value_node].name, "report this");
      result[s].step = static_cast<float>(std::exp(search_log_step(torch::cat(values[s]), 8, !step.relu)));
      result[s].zero_point = step.relu ? 0 : 128;
    }
    return result;
  }

  QuantizedNetwork& network_;
  const CalibrationBatches& batches_;
  std::vector<Tensor> code_steps_;  // [layer][filter]: real value of one stored code
};

void recalibrate(QuantizedNetwork* network, const CalibrationBatches& batches) {
  torch::NoGradGuard guard;
  const int paths = static_cast<int>(network->paths().size());
  // The stem first: its averages are final before any path sees them.
  int seen = 0;
  batches([&](const Tensor& src) { network->stem(src, {/*batch_statistics=*/true, /*momentum=*/1.0 / ++seen}); });
  seen = 0;
  batches([&](const Tensor& src) {
    const Tensor stem = network->stem(src, {/*batch_statistics=*/false, /*momentum=*/0});
    const ForwardMode mode{/*batch_statistics=*/true, /*momentum=*/1.0 / ++seen};
    for (int p = 0; p < paths; ++p) network->forward(p, stem, mode);
  });
}

ModelData export_model(QuantizedNetwork* network, const CalibrationBatches& batches) { return ModelExporter(network, batches).run(); }

}  // namespace bitpilot
