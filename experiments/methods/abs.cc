// ABS, Automatic Bit Sharing (arXiv:2101.04935; later Single-path Bit Sharing): bits and pruned filters learned in one training that pays
// for its bit operations.
//
//   search      first stage: one path by residual decomposition, with gates on every layer's weights, every value and every group of
//               filters that no Add shares; loss + lambda * log(BOPs)                                             (quant/super_bits)
//   fix         the gates are read once; kept groups move to the front, steps are fitted to the found bits
//   fine-tune   the later stages: the found bits by the project's learned steps, pruned filters masked             (quant/found_bits)
//   end         the pruned filters leave graph and file, codes are packed, the integer model is judged like any other
//
// What differs from the paper, beside what quant/super_bits.h says: the found network is trained and exported on symmetric grids with one
// learned step a filter, as every other network here, instead of the search's grid without zero; a group is a block of the engine; the
// optimiser is the project's (Adam, one cycle) with the float network as teacher; fine-tuning goes on from the search's weights.
// "two_stage" is the control: half of the search prunes at 8 bits, the other half learns bits.
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "experiments/config_trials.h"
#include "experiments/methods/method.h"
#include "experiments/size_account.h"
#include "experiments/validation.h"
#include "quant/filter_order.h"
#include "quant/found_bits.h"
#include "quant/super_bits.h"
#include "runtime/core/backbones.h"
#include "runtime/core/cost.h"
#include "runtime/core/json.h"
#include "runtime/format/reduce_model.h"

namespace bitpilot {
namespace {

using nlohmann::json;

SuperBitOptions read_settings(const Recipe& recipe) {
  const JsonReader reader(recipe.method, "recipe, method");
  reader.allow({"name", "lambda", "ladder", "rate", "most_pruned", "original_gates", "two_stage"});
  SuperBitOptions options;
  options.lambda = reader.number("lambda", 0, 10, options.lambda);
  options.rate = reader.number("rate", 0.01, 1000, options.rate);
  options.most_pruned = reader.number("most_pruned", 0, 1, options.most_pruned);
  options.original_gates = reader.boolean("original_gates", options.original_gates);
  options.two_stage = reader.boolean("two_stage", options.two_stage);
  if (reader.has("ladder")) {
    const JsonReader ladder = reader.at("ladder");
    options.ladder.clear();
    for (std::size_t i = 0; i < ladder.size(); ++i) options.ladder.push_back(static_cast<int>(ladder.at(i).integer(1, 32)));
  }
  if (recipe.paths.size() != 1 || !recipe.paths.front().layers.empty() || recipe.paths.front().width != 1)
    reader.fail("abs learns the bits of one network: it takes one uniform path of full width");
  if (recipe.policy.enabled) reader.fail("abs learns no policy: set policy.enabled to false");
  // Before any training: every layer is told by the backbone alone, so any picture size serves.
  check_super_bits(make_backbone(recipe.backbone, {3, 96, 96}, 2, recipe.width), options);
  return options;
}

class Abs : public Method {
 public:
  explicit Abs(const Recipe& recipe) : options_(read_settings(recipe)) {}

  void begin_stage(const MethodStage& stage, TrainingOptions* options) override {
    searching_ = stage.number == 0;
    if (searching_) {
      search_ = std::make_shared<SuperBits>(stage.network, stage.steps, options_);
      stage.network->set_quantizers(search_);
      options->shape_gradients = [search = search_](std::int64_t step, const NamedTensors& parameters, std::vector<torch::Tensor>* gradients) {
        search->shape(step, parameters, gradients);
      };
      return;
    }
    // On a resumed run the checkpoint tells what was found.
    if (!found_) found_ = std::make_shared<FoundBits>(*stage.network, stage.network->paths().front().config);
    stage.network->set_quantizers(found_);
  }

  json end_epoch(const MethodStage& stage, std::int64_t) override {
    if (!searching_) return nullptr;
    const BitConfig found = search_->found();
    const BitSpace& space = stage.network->space();
    return {{"layers", layers_json(found, space)}, {"bops", bops_table(stage.network->network(), space).cost(found)}};
  }

  void end_stage(const MethodStage& stage) override {
    if (!searching_) return;
    const BitConfig found = search_->found();
    stage.network->set_quantizers(nullptr);
    order_filters(stage.network, search_->order());
    found_ = std::make_shared<FoundBits>(*stage.network, found);
    found_->fit_steps(stage.network);
    stage.network->set_quantizers(found_);
    std::cerr << "search: " << to_string(found, stage.network->space()) << "\n";
  }

  NamedTensors state() override { return searching_ ? search_->state() : found_->state(); }

  json finish(FinishedTraining* training) override {
    const Recipe& recipe = training->request.recipe;
    QuantizedNetwork& supernet = training->supernet;
    const BitConfig found = found_->config();
    const CostTable bops = bops_table(supernet.network(), supernet.space());
    const double spent = bops.cost(found);
    supernet.set_quantizers(nullptr);
    ModelData model = export_paths(*training, {{recipe.paths.front().name, found}});
    json record{{"name", "abs"},
                {"lambda", options_.lambda},
                {"two_stage", options_.two_stage},
                {"layers", layers_json(found, supernet.space())},
                {"bops", spent},
                {"of_uniform8", spent / bops.reference()},
                {"of_uniform4", spent / bops.cost(uniform_config(supernet.space(), 4, 4))}};
    pack_single_widths(&model);
    offer_stored(&model);
    const SizeAccount whole = account_size(model, found);
    const auto tell = [&](const char* as) {  // of its bits alone: how wide the anchor is does not count
      SizeAccount size = account_size(model, found);
      size.float_raw = whole.float_raw;  // both are smaller than one float network, the whole one
      record["macs"][as] = model.network.macs();
      record["size"][as] = size_json(size);
    };
    tell("whole");
    drop_idle_filters(&model);
    tell("pruned");
    record["of_pruned_uniform8"] = spent / bops_table(model.network, model.space).reference();  // what the file's own "relative" says
    training->model = std::move(model);
    record["validation"] = validated(*training);
    std::cout << recipe.name << "  " << to_string(found, supernet.space()) << "  " << record["of_uniform4"] << " of uniform 4 bits, validation "
              << record["validation"]["accuracy"] << "\n";
    return record;
  }

 private:
  /// Each layer offers what its file holds: the found bits, and where weights are stored at 8 bits the narrower rungs that follow from them.
  void offer_stored(ModelData* model) const {
    const BitConfig& found = model->anchors.front().config;
    for (std::size_t l = 0; l < found.size(); ++l) {
      if (model->space.layers[l].fixed) continue;
      std::set<int> offered{found[l].weight, found[l].activation};
      if (model->weights[l].stored_bits == 8) offered.insert(options_.ladder.begin(), options_.ladder.end());
      model->space.layers[l].bits = {offered.begin(), offered.end()};
    }
  }

  SuperBitOptions options_;
  bool searching_ = true;
  std::shared_ptr<SuperBits> search_;
  std::shared_ptr<FoundBits> found_;
};

}  // namespace

std::unique_ptr<Method> make_abs(const Recipe& recipe) { return std::make_unique<Abs>(recipe); }

}  // namespace bitpilot
