#include <doctest/doctest.h>

#include <algorithm>

#include "quant/elastic.h"
#include "quant/export.h"
#include "quant/integer_evaluation.h"
#include "quant/training_loop.h"
#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "runtime/engine/engine.h"
#include "runtime/format/model_file.h"
#include "runtime/format/reduce_model.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_training.h"
#include "tests/support/trace_difference.h"

using namespace bitpilot;
using torch::Tensor;

namespace {

constexpr int kPictures = 40;
/// What integers may lose against the fake-quantised pass, in deviations of its scores: 8-bit carries, gains in steps of half a percent.
constexpr double kClose = 0.05;

/// A supernet that has seen every Form for a few steps.
struct Elastic {
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {2, 3, 4, 8}, 8);
  QuantizedNetwork supernet{network, space, {{"full8", uniform_config(space, 8, 8)}, {"u3", uniform_config(space, 3, 3)}}, /*quantized=*/true, 7};
  std::shared_ptr<ElasticSteps> steps;
  Tensor bytes, src;
  CalibrationBatches batches = [this](const std::function<void(const Tensor&)>& use) { use(src); };

  Elastic() {
    const TrainingBatch batch = testing::toy_pictures(kPictures, 11);
    bytes = (batch.src.clamp(0, 1) * 255).round().to(torch::kByte);
    src = bytes.to(torch::kFloat).div(255);
    QuantizedNetwork float_network(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 7);
    const ForwardMode adopt{/*batch_statistics=*/true, /*momentum=*/1};
    float_network.forward(0, float_network.stem(src, adopt), adopt);
    supernet.start_from(float_network, src);
    steps = std::make_shared<ElasticSteps>(network, space, supernet.parameters());
    supernet.set_quantizers(of({}));
    TrainingOptions options;
    options.paths = {0};
    options.random_paths = 2;
    options.free_paths = [this](std::uint64_t index) {
      return FreePath{uniform_config(space, index % 2 == 0 ? 2 : 3, 4), of(elastic_forms()[index % 4]), {}};
    };
    TrainingLoop loop(&supernet, nullptr, 6, options);
    for (int i = 0; i < 6; ++i) loop.step({src, batch.labels}, {});
  }
  std::shared_ptr<ElasticQuantizers> of(const Form& form) const {
    return std::make_shared<ElasticQuantizers>(steps, std::vector<Form>(steps->layers(), form));
  }
  QuantizedNetwork with(std::vector<PathSpec> paths, std::shared_ptr<ElasticQuantizers> quantizers) const {
    QuantizedNetwork found = supernet.with_paths(std::move(paths));
    found.set_quantizers(std::move(quantizers));
    recalibrate(&found, batches);
    return found;
  }
  /// The model as a training would write it.
  ModelData exported(QuantizedNetwork* found) const {
    ModelData model = export_model(found, batches);
    model.labels = {"a", "b", "c", "d", "e"};
    return model;
  }
  std::vector<std::uint8_t> pictures() const {
    const Tensor last = bytes.permute({0, 2, 3, 1}).contiguous();
    return {last.data_ptr<std::uint8_t>(), last.data_ptr<std::uint8_t>() + last.numel()};
  }
};

/// Engine and training side on every picture; the difference of their scores from the fake-quantised network's, in deviations of those.
double compare(const ModelData& model, const BitConfig& config, const std::vector<std::uint8_t>& pictures, const Tensor& expected) {
  const IntegerEvaluation reference = evaluate_integer(model, config, pictures, /*with_traces=*/true);
  Session session(std::make_shared<Model>(model));
  const std::size_t size = pictures.size() / kPictures;
  double difference = 0;
  for (std::size_t p = 0; p < kPictures; ++p) {
    const std::vector<CodeTrace> trace = session.trace(std::span(pictures).subspan(p * size, size), config);
    REQUIRE(testing::first_difference(trace, reference.traces[p]) == "");
    const std::span<const float> scores = session.look(config);
    REQUIRE(std::vector<float>(scores.begin(), scores.end()) == reference.scores[p]);
    for (std::size_t c = 0; c < scores.size(); ++c)
      difference += std::abs(static_cast<double>(scores[c]) - expected[static_cast<std::int64_t>(p)][static_cast<std::int64_t>(c)].item<double>());
  }
  return difference / static_cast<double>(expected.numel()) / expected.std().item<double>();
}

}  // namespace

TEST_CASE("parity: an elastic supernet exported in any Form and width runs in the engine as its integers say, and as it was trained") {
  const Elastic elastic;
  const std::vector<std::uint8_t> pictures = elastic.pictures();
  for (const Form& form : elastic_forms())
    for (const int bits : {2, 3, 4, 8}) {
      INFO(form_name(form), ", ", bits, " bits");
      const BitConfig config = uniform_config(elastic.space, bits, 8);
      QuantizedNetwork found = elastic.with({{"found", config}}, elastic.of(form));
      ModelData model = elastic.exported(&found);
      const LayerWeights& weights = model.weights[2];
      CHECK(weights.stored_bits == (form == Form{} ? 8 : bits));
      CHECK(weights.form.symmetry == form.symmetry);
      if (form.granularity == Granularity::kTensor) share_scales(&model);
      CHECK(model.weights[2].form.granularity == form.granularity);
      const testing::TemporaryFolder folder;
      write_model(model, folder.path() + "/model.safetensors");
      const Tensor expected = evaluate(&found, 0, elastic.src);
      const double difference = compare(Model::load(folder.path() + "/model.safetensors")->data(), config, pictures, expected);
      MESSAGE(form_name(form), ", ", bits, " bits: ", difference, " deviations from the fake-quantised scores");
      CHECK(difference < kClose);
    }
}

TEST_CASE("parity: a model of mixed Forms and bits runs as its integers say; two widths of one layer need two files") {
  const Elastic elastic;
  BitConfig mixed = uniform_config(elastic.space, 3, 8);
  std::vector<Form> forms(elastic.steps->layers());
  for (std::size_t l = 1; l + 1 < mixed.size(); ++l) {
    forms[l] = elastic_forms()[l % 4];
    mixed[l].weight = std::vector<int>{2, 3, 4, 8}[l * 7 % 4];
  }
  const auto quantizers = std::make_shared<ElasticQuantizers>(elastic.steps, forms);
  QuantizedNetwork found = elastic.with({{"mixed", mixed}}, quantizers);
  CHECK(compare(elastic.exported(&found), mixed, elastic.pictures(), evaluate(&found, 0, elastic.src)) < kClose);
  QuantizedNetwork two = elastic.with({{"mixed", mixed}, {"u3", uniform_config(elastic.space, 3, 3)}}, quantizers);
  CHECK_THROWS_AS(export_model(&two, elastic.batches), Error);
  QuantizedNetwork nested = elastic.with({{"mixed", mixed}, {"u3", uniform_config(elastic.space, 3, 3)}}, elastic.of({}));
  CHECK(export_model(&nested, elastic.batches).anchors.size() == 2);
}
