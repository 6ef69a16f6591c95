// QGT (arXiv:2103.06231): weights are steered to the grid instead of rounded while they learn.
//
//   supernet    one path; no weight is rounded in the forward pass, a regulariser pulls every layer's weights to its levels ever harder,
//               weights that have arrived are frozen at the end; activations are rounded, by learned steps, from a share of the steps on:
//               early in the committed recipes, because values at 2 bits need longer than the end of a training     (quant/guided)
//   end         weights become their codes (stem and classifier at 8 bits, as in every configuration here), normalisation is recalibrated, the integer model is judged like any other
//   report      which layers compression hurts, and what one bit more would bring, made on the weights from before the pull (behind the
//               share `quiet` of the steps): those that training ends with stand on their levels already
//                                                                                      (experiments/bottlenecks: bottlenecks.json, *.svg)
#include <iostream>
#include <nlohmann/json.hpp>

#include "experiments/bottlenecks.h"
#include "experiments/methods/method.h"
#include "experiments/size_account.h"
#include "experiments/training_data.h"
#include "experiments/validation.h"
#include "quant/guided.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"
#include "runtime/format/reduce_model.h"

namespace bitpilot {
namespace {

using nlohmann::json;

struct QgtRecipe {
  GuidedOptions guided;
  int report_images = 4000;  ///< validation pictures (with the mixture's degradations) that the bottleneck report is made on, 0..1000000
};

QgtRecipe read_settings(const Recipe& recipe) {
  const JsonReader reader(recipe.method, "recipe, method");
  reader.allow({"name", "strength", "quiet", "activations_from", "freeze", "refit", "report_images"});
  QgtRecipe settings;
  GuidedOptions& guided = settings.guided;
  guided.strength = reader.number("strength", 0, 3, guided.strength);
  guided.quiet = reader.number("quiet", 0, 0.99, guided.quiet);
  guided.activations_from = reader.number("activations_from", 0, 1, guided.activations_from);
  guided.freeze = reader.number("freeze", 0, 1, guided.freeze);
  guided.refit = static_cast<int>(reader.integer("refit", 1, 1000000, guided.refit));
  settings.report_images = static_cast<int>(reader.integer("report_images", 0, 1000000, settings.report_images));
  if (recipe.paths.size() != 1 || recipe.supernet.size() != 1 || recipe.paths.front().width != 1)
    reader.fail("qgt steers one set of weights to one grid: it takes one path of full width and one stage");
  if (recipe.policy.enabled) reader.fail("qgt learns no policy: set policy.enabled to false");
  return settings;
}

class Qgt : public Method {
 public:
  explicit Qgt(const Recipe& recipe) : settings_(read_settings(recipe)) {}

  void begin_stage(const MethodStage& stage, TrainingOptions* options) override {
    guided_ = std::make_shared<GuidedTraining>(stage.network, stage.network->paths().front().config, stage.steps, settings_.guided);
    stage.network->set_quantizers(guided_);
    options->begin_step = [guided = guided_](std::int64_t step) { guided->begin_step(step); };
    options->shape_gradients = [guided = guided_](std::int64_t step, const NamedTensors& parameters, std::vector<torch::Tensor>* gradients) {
      guided->shape(step, parameters, gradients);
    };
  }

  json end_epoch(const MethodStage& stage, std::int64_t) override {
    json result;
    const std::vector<GuidedLayer> layers = guided_->measure();
    for (std::size_t l = 1; l + 1 < layers.size(); ++l)
      result["grid_distance"][stage.network->network().layer(static_cast<int>(l)).name] = layers[l].distance;
    return result;
  }

  void end_stage(const MethodStage& stage) override {
    trained_ = guided_->measure();
    guided_->round_weights();
    stage.network->set_quantizers(nullptr);
  }

  NamedTensors state() override { return guided_->state(); }

  json finish(FinishedTraining* training) override {
    pack_single_widths(&training->model);
    share_scales(&training->model);
    const Recipe& recipe = training->request.recipe;
    const json size = size_json(account_size(training->model, training->model.anchors.front().config));
    if (settings_.report_images > 0) {
      const BottleneckReport report = report_of(training);
      const std::string stem = training->request.out + "/bottlenecks";
      write_file_atomically(stem + ".json", bottlenecks_json(report).dump(2) + "\n");
      write_file_atomically(stem + ".svg", reliefs_svg(report));
      write_file_atomically(stem + "_promotions.svg", promotions_svg(report));
    }
    std::cout << recipe.name << "  " << size["raw_bytes"] << " bytes raw, " << size["times_smaller"] << " times smaller than float; file "
              << size["file_bytes"] << "\n";
    return {{"name", "qgt"}, {"size", size}, {"validation", validated(*training)}};
  }

 private:
  /// Exchanges the network's parameters with those from before the pull.
  void exchange(QuantizedNetwork* network) {
    torch::NoGradGuard guard;
    const NamedTensors parameters = network->parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const torch::Tensor now = parameters[i].second.detach().clone();
      parameters[i].second.detach().copy_(guided_->before_pull()[i].second);
      guided_->before_pull()[i].second.copy_(now);
    }
  }

  BottleneckReport report_of(FinishedTraining* training) {
    const Recipe& recipe = training->request.recipe;
    const Draws draws = draws_of(recipe, training->model, training->splits.validation, "bottlenecks", 1);
    constexpr std::size_t kBatch = 500;
    std::vector<TrainingBatch> batches;
    std::vector<Sample> samples;
    const std::size_t count = std::min<std::size_t>(draws.count, static_cast<std::size_t>(settings_.report_images));
    for (std::size_t i = 0; i < count; ++i) {
      samples.push_back(draws.at(i));
      // The last batch takes the rest: a small one would be normalised by few pictures.
      if (samples.size() < kBatch || count - i - 1 < kBatch) continue;
      batches.push_back(to_batch(samples, training->model.network.input_shape()));
      samples.clear();
    }
    if (!samples.empty()) batches.push_back(to_batch(samples, training->model.network.input_shape()));
    exchange(&training->supernet);
    BottleneckReport report = find_bottlenecks(&training->supernet, training->supernet.paths().front().config, trained_, batches, recipe.seed);
    exchange(&training->supernet);
    report.before_pull_at = settings_.guided.strength > 0 ? settings_.guided.quiet : 0;
    return report;
  }

  QgtRecipe settings_;
  std::shared_ptr<GuidedTraining> guided_;
  std::vector<GuidedLayer> trained_;
};

}  // namespace

std::unique_ptr<Method> make_qgt(const Recipe& recipe) { return std::make_unique<Qgt>(recipe); }

}  // namespace bitpilot
