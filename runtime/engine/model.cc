#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/engine/model_parts.h"
#include "runtime/format/model_check.h"
#include "runtime/format/model_file.h"

namespace bitpilot {
namespace {

ModelData checked(ModelData data) {
  check_model(data, data.network.name);
  // One stem serves every configuration: it runs before the configuration is known.
  const LayerCalibration& stem = data.anchors.front().layers.front();
  for (const Anchor& anchor : data.anchors) {
    const LayerCalibration& other = anchor.layers.front();
    if (other.input_step != stem.input_step || other.input_zero_point != stem.input_zero_point ||
        other.gain != stem.gain || other.channel_gain != stem.channel_gain || other.offset != stem.offset ||
        other.offset_shift != stem.offset_shift)
      throw Error(ExitCode::kData, "anchors calibrate the stem differently, but it is computed once for all of them",
                  data.network.name + ", anchor " + anchor.name,
                  "export the model with one calibration of its first layer");
  }
  return data;
}

void unpack(WeightStore& weights, const ModelData& data, const BitConfig& config) {
  for (int l = 0; l < data.network.layer_count(); ++l) weights.packed(l, config[static_cast<std::size_t>(l)]);
}

}  // namespace

Model::Impl::Impl(ModelData model_data, const Kernels* wanted, KernelChoice choice)
    : data(checked(std::move(model_data))),
      kernels(wanted != nullptr ? *wanted : active_kernels()),
      layout(data.network),
      weights(data, kernels, layout.row_as_channels(), std::move(choice)) {
  for (const Anchor& anchor : data.anchors) {
    anchors.push_back(std::make_shared<const std::vector<StepNumbers>>(resolve(data, layout.steps(), anchor.config, folds)));
    unpack(weights, data, anchor.config);
  }
}

Model::Model(ModelData data, const Kernels* kernels)
    : impl_(std::make_unique<Impl>(std::move(data), kernels, KernelChoice())) {}
Model::Model(ModelData data, const Kernels* kernels, KernelChoice choice)
    : impl_(std::make_unique<Impl>(std::move(data), kernels, std::move(choice))) {}

Model::~Model() = default;

std::shared_ptr<const Model> Model::load(const std::string& path) {
  return load(path, [](const ModelData&, const std::string&) { return KernelChoice(); });
}

std::shared_ptr<const Model> Model::load(const std::string& path, const KernelChooser& choose) {
  const std::string bytes = read_file(path), hash = "sha256:" + sha256(bytes);
  ModelData data = parse_model(bytes, path);
  KernelChoice choice = choose(data, hash);
  auto model = std::make_shared<Model>(std::move(data), nullptr, std::move(choice));
  model->impl_->hash = hash;
  return model;
}

const ModelData& Model::data() const { return impl_->data; }
const Kernels& Model::kernels() const { return impl_->kernels; }
std::vector<Packing> Model::packings(int layer, const LayerBits& bits) const {
  return impl_->weights.packings(layer, bits);
}
const std::string& Model::hash() const { return impl_->hash; }

}  // namespace bitpilot
