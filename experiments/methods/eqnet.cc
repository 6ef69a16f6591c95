// EQ-Net (arXiv:2308.07650): one set of weights for every bit-width, granularity and symmetry of the weights' quantisers.
//
//   step        three subnets in a chain: H at the highest bits, R at random ones, L at the lowest, every layer of each in a Form drawn
//               anew; with guidance R learns from H and L from R beside the labels (group progressive guidance), without it all of them
//               from the float network; gradients add up, are clipped by value, one update              (quant/elastic, quant/training_loop)
//   shape       the weights of every layer but the first are drawn to a uniform distribution            (quant/weight_shape)
//   forms       every Form at every path's bits: recalibrated, exported as a file of its own, judged as integers
//   predictor   quality of a configuration in a Form, taught on judged subnets, tested on others         (policy/taught_predictor)
//   search      genetic, by the predictor, in the default Form; the best ten are recalibrated and judged as integers, the winner is
//               exported as the anchor "searched" and compared with random configurations of the same budget  (policy/genetic)
//
// What differs from the paper.  The default Form runs on the project's nested codes, so that one file holds all its widths; the others
// have a learned step for each width.  Activations have one Form: behind a ReLU both symmetries are the same code.  A layer has one zero
// point, whatever its granularity.  Normalisations and activation steps belong to the recipe's uniform paths and are borrowed from the
// nearest one.  H also learns from the float network; optimiser and schedule are the project's.  Subnets are judged with the statistics of
// each batch, on fewer pictures and fewer subnets than the source has; the predictor learns their loss, not their accuracy, which as few
// pictures leave to chance; the search pays in bit operations, not in mean bits.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "experiments/config_trials.h"
#include "experiments/finalists.h"
#include "experiments/form_comparison.h"
#include "experiments/methods/method.h"
#include "policy/genetic.h"
#include "policy/paired_bootstrap.h"
#include "policy/taught_predictor.h"
#include "quant/elastic.h"
#include "quant/weight_shape.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"
#include "runtime/core/random.h"
#include "runtime/format/model_file.h"
#include "runtime/format/reduce_model.h"

namespace bitpilot {
namespace {

using nlohmann::json;

constexpr double kGradientLimit = 1.0;
constexpr double kEqualCost = 0.02;            // random configurations cost up to this share less than the budget
constexpr int kTaughtPerTested = 4;            // subnets that teach the predictor for one that tests it
constexpr int kTestDraws = 3;                  // degraded draws of every validation picture that the test's subnets are judged on: counted
                                               // answers tell subnets apart on many pictures only

struct Settings {
  std::vector<Form> forms = elastic_forms();  ///< that layers are drawn from
  bool guidance = true;
  double shape = 1;     ///< regulariser of the weights' moments, in multiples of the default strengths, 0..100
  int subnets = 800;    ///< that teach the predictor, 0 (no predictor, no search) or 16..100000
  double budget = 0.1;  ///< relative cost of the search, (0, 1]
  int random = 200;     ///< configurations that the search's result is compared with on validation, 1..10000
  int controls = 30;    ///< of those that are judged as integers on the test split, 1..200
  int pictures = 2048;  ///< of the validation split (all if it has fewer), the same ones for every subnet, 16..1000000
  int generations = 100;  ///< of the search, 1..10000
};

std::vector<Form> read_forms(const JsonReader& reader) {
  std::vector<std::string> names;
  for (const Form& form : elastic_forms()) names.push_back(form_name(form));
  std::vector<Form> forms;
  for (std::size_t i = 0; i < reader.size(); ++i) {
    const auto found = std::find(names.begin(), names.end(), reader.at(i).text());
    if (found == names.end()) {
      const std::string nearest = nearest_name(reader.at(i).text(), names);
      reader.at(i).fail(nearest.empty() ? "Forms are " + names[0] + ", " + names[1] + ", " + names[2] + " and " + names[3]
                                        : "there is no such Form; did you mean \"" + nearest + "\"?");
    }
    const Form form = elastic_forms()[static_cast<std::size_t>(found - names.begin())];
    if (std::find(forms.begin(), forms.end(), form) != forms.end()) reader.at(i).fail("a Form stands twice");
    forms.push_back(form);
  }
  if (forms.empty()) reader.fail("a supernet needs a Form");
  return forms;
}

bool has_default(const std::vector<Form>& forms) { return std::find(forms.begin(), forms.end(), Form{}) != forms.end(); }

Settings read_settings(const Recipe& recipe) {
  const JsonReader reader(recipe.method, "recipe, method");
  reader.allow({"name", "forms", "guidance", "shape", "subnets", "budget", "random", "controls", "pictures", "generations"});
  Settings settings;
  if (reader.has("forms")) settings.forms = read_forms(reader.at("forms"));
  settings.guidance = reader.boolean("guidance", settings.guidance);
  settings.shape = reader.number("shape", 0, 100, settings.shape);
  settings.subnets = static_cast<int>(reader.integer("subnets", 0, 100000, settings.subnets));
  if (settings.subnets > 0 && settings.subnets < 16) reader.at("subnets").fail("a predictor is taught on 16 subnets at least; 0 leaves it out");
  settings.budget = reader.number("budget", 1e-3, 1, settings.budget);
  settings.random = static_cast<int>(reader.integer("random", 1, 10000, settings.random));
  settings.controls = static_cast<int>(reader.integer("controls", 1, 200, settings.controls));
  settings.pictures = static_cast<int>(reader.integer("pictures", 16, 1000000, settings.pictures));
  settings.generations = static_cast<int>(reader.integer("generations", 1, 10000, settings.generations));
  for (const StageRecipe& stage : recipe.supernet)
    if (settings.guidance && stage.random_paths < 2)
      throw Error(ExitCode::kData, "guidance leads from the highest bits over random ones to the lowest, a stage has too few free configurations",
                  "recipe, supernet", "set \"random_paths\" to 2 or more, or method.guidance to false");
  const bool alone = !has_default(settings.forms);
  if (alone && (recipe.paths.size() > 1 || settings.forms.size() > 1))
    reader.fail("without channel/symmetric among the \"forms\" a model file holds one path in one Form");
  if (alone && settings.subnets > 0) reader.fail("the search runs in channel/symmetric, which \"forms\" leaves out; set \"subnets\" to 0");
  return settings;
}

/// What the predictor saw, so that another one can be tried without judging anything again.
json subnets_json(const JudgedSubnets& judged, const CostTable& cost, const BitSpace& space) {
  json rows = json::array();
  for (std::size_t i = 0; i < judged.subnets.size(); ++i)
    rows.push_back({{"form", form_name(judged.subnets[i].form)}, {"layers", layers_json(judged.subnets[i].config, space)},
                    {"relative", judged.costs[i] / cost.reference()}, {"accuracy", judged.accuracies[i]}, {"loss", judged.losses[i]}});
  return rows;
}

class EqNet : public Method {
 public:
  explicit EqNet(Settings settings) : settings_(std::move(settings)) {}

  void check(const Network& network, const BitSpace& space) const override {
    if (settings_.subnets > 0) check_method_budget(settings_.budget, network, space);
  }

  void begin_stage(const MethodStage& stage, TrainingOptions* options) override {
    QuantizedNetwork& network = *stage.network;
    const int layers = network.network().layer_count();
    if (!steps_) steps_ = std::make_shared<ElasticSteps>(network.network(), network.space(), network.parameters());
    const auto named = std::make_shared<ElasticQuantizers>(steps_, std::vector<Form>(static_cast<std::size_t>(layers)));
    network.set_quantizers(named);
    if (settings_.guidance) options->teaching = Teaching::kPrevious;
    const std::uint64_t seed = options->seed;
    const auto forms = [this, layers, seed, name = stage.name](const std::string& of, std::uint64_t index) {
      return draw_forms(settings_.forms, layers, Random(seed, name + ", Forms of " + of, index));
    };
    options->begin_step = [named, forms](std::int64_t step) { named->set_forms(forms("a step", static_cast<std::uint64_t>(step))); };
    const std::vector<PathSpec> first{network.paths()[static_cast<std::size_t>(options->paths.front())]};
    const auto free = static_cast<std::uint64_t>(options->random_paths);
    options->free_paths = [this, &network, first, free, forms, seed](std::uint64_t index) {
      const bool last = free > 1 && index % free == free - 1;
      const BitConfig config = last ? lowest_bits(first.front().config, network.space()) : random_config(network.network(), network.space(), first, seed, index);
      return FreePath{config, std::make_shared<ElasticQuantizers>(steps_, forms("a free path", index)), {}};
    };
    std::vector<std::string> shaped;
    for (int l = 1; l < layers; ++l) shaped.push_back(network.network().layer(l).name);
    const ShapeStrengths base;
    options->shape_gradients = [regularise = shape_regulariser(shaped, {settings_.shape * base.skewness, settings_.shape * base.kurtosis}),
                                clip = clip_gradients(kGradientLimit)](std::int64_t step, const NamedTensors& parameters, std::vector<torch::Tensor>* gradients) {
      regularise(step, parameters, gradients);
      clip(step, parameters, gradients);
    };
  }

  void end_stage(const MethodStage& stage) override {
    if (stage.number + 1 == stage.count) stage.network->set_quantizers(in_form(has_default(settings_.forms) ? Form{} : settings_.forms.front()));
  }

  json finish(FinishedTraining* training) override {
    if (!has_default(settings_.forms) && settings_.forms.front().granularity == Granularity::kTensor) share_scales(&training->model);
    json record{{"shape", shapes_of(training->supernet)}, {"forms", judge_forms(*training)}};
    if (settings_.subnets > 0) search(training, &record);
    return record;
  }

 private:
  std::shared_ptr<ElasticQuantizers> in_form(const Form& form) const {
    return std::make_shared<ElasticQuantizers>(steps_, std::vector<Form>(steps_->layers(), form));
  }

  /// Skewness and kurtosis of every regularised layer.
  static json shapes_of(const QuantizedNetwork& supernet) {
    json shapes = json::object();
    for (const auto& [name, tensor] : supernet.parameters()) {
      if (!name.ends_with(".weight") || name.starts_with(supernet.network().layer(0).name)) continue;
      const WeightShape shape = weight_shape(tensor);
      shapes[name.substr(0, name.rfind('.'))] = {shape.skewness, shape.kurtosis};
    }
    return shapes;
  }

  /// FORM -> path -> accuracy on each evaluation set; every Form but the default one goes to a file for each path.
  json judge_forms(const FinishedTraining& training) const {
    const std::vector<std::vector<Sample>> sets = test_samples(training);
    std::filesystem::create_directories(training.request.out + "/forms");
    json table{{"images", sets.front().size()}};
    for (const Form& form : settings_.forms) {
      std::vector<ModelData> models;
      if (form == Form{}) models.push_back(training.model);
      else
        for (const PathSpec& path : training.supernet.paths()) {
          models.push_back(export_paths(training, {path}, in_form(form)));
          if (form.granularity == Granularity::kTensor) share_scales(&models.back());
          write_model(models.back(), form_file(training.request.out, form_name(form), path.name));
        }
      for (const ModelData& model : models) {
        const std::vector<ConfigTrials> trials = try_model(model, sets, training.request.threads);
        for (std::size_t k = 0; k < model.anchors.size(); ++k)
          for (std::size_t s = 0; s < sets.size(); ++s)
            table[form_name(form)][model.anchors[k].name][evaluation_set_name(kEvaluationSets[s])] = share_right(trials[s].correct[k]);
      }
    }
    return table;
  }

  /// Lessons, judged by `judge`, and a quarter as many that several draws of every validation picture judge; returns how many draws.
  std::size_t judge_subnets(const DrawSpace& space, const BatchJudge& judge, FinishedTraining* training, JudgedSubnets* lessons, JudgedSubnets* tested) const {
    const std::uint64_t seed = training->request.recipe.seed;
    std::vector<std::shared_ptr<ElasticQuantizers>> arithmetic;
    for (const Form& form : settings_.forms) arithmetic.push_back(in_form(form));
    const std::vector<BitConfig> configs = spread_configs(space, settings_.subnets + settings_.subnets / kTaughtPerTested, seed);
    std::size_t judged = 0;
    const auto add = [&](const BatchJudge& by, JudgedSubnets* to) {
      const BitConfig& config = configs[judged];
      const std::size_t form = Random(seed, "Form of a subnet", judged).below(settings_.forms.size());
      to->add({config, settings_.forms[form]}, by(config, arithmetic[form].get()), space.cost.cost(config));
      if (++judged % 100 == 0) std::cerr << "predictor: " << judged << " subnets judged\n";
    };
    while (judged < configs.size() && std::ssize(lessons->subnets) < settings_.subnets) add(judge, lessons);
    const Draws draws = draws_of(training->request.recipe, training->model, training->splits.validation, "predictor test", kTestDraws);
    std::vector<Sample> drawn;
    for (std::size_t i = 0; i < draws.count; ++i) drawn.push_back(draws.at(i));
    const BatchJudge test(&training->supernet, drawn, training->request.threads);
    while (judged < configs.size()) add(test, tested);
    return drawn.size();
  }

  void search(FinishedTraining* training, json* record) const {
    const ModelData& parts = training->model;
    const std::uint64_t seed = training->request.recipe.seed;
    const CostTable cost = bops_table(parts.network, parts.space);
    const DrawSpace space{parts.space, cost, {}};
    const auto set = first_images(training->splits.validation, static_cast<std::size_t>(settings_.pictures));
    const std::vector<Sample> samples = evaluation_samples(*set, EvaluationSet::kSeen, standard_mixture(), parts.network.input_shape(), parts.preprocessing.stretch);
    const BatchJudge judge(&training->supernet, samples, training->request.threads);

    JudgedSubnets lessons, tested;
    const std::size_t drawn = judge_subnets(space, judge, training, &lessons, &tested);
    write_file_atomically(training->request.out + "/subnets.json", json{{"taught", subnets_json(lessons, cost, parts.space)},
                                                                        {"tested", subnets_json(tested, cost, parts.space)}}.dump() + "\n");
    PredictorOptions options;
    options.seed = seed;
    const TaughtPredictor taught = teach_predictor(lessons, tested, parts.space, options);
    (*record)["predictor"] = to_json(taught.report);
    (*record)["predictor"]["images"] = {{"taught", samples.size()}, {"tested", drawn}};
    if (const std::string warning = predictor_warning(taught.report); !warning.empty()) std::cerr << "warning: " << warning << "\n";

    GeneticOptions genetic;
    genetic.budget = settings_.budget;
    genetic.generations = settings_.generations;
    genetic.seed = seed;
    std::size_t predicted = 0;
    const ConfigPredictor predict = [&](const std::vector<BitConfig>& configs) {
      predicted += configs.size();
      std::vector<Subnet> asked;
      for (const BitConfig& config : configs) asked.push_back({config, {}});
      return taught.predictor.predict(asked);
    };
    json validation;
    const SearchPoint found = choose_as_integers(*training, genetic_search(space, predict, judge, genetic).remeasured, samples, &validation);
    const std::vector<BitConfig> random = random_configs_at(space, settings_.budget, kEqualCost, settings_.random, seed);
    // Judged with the statistics of each batch: two hundred exports would take minutes.
    json rivals{{"count", random.size()}, {"best_loss", nullptr}, {"best_accuracy", 0.0}, {"mean_accuracy", 0.0}};
    for (const BitConfig& config : random) {
      const SearchPoint point = judge(config);
      if (rivals["best_loss"].is_null() || point.loss < rivals["best_loss"]) rivals["best_loss"] = point.loss;
      rivals["best_accuracy"] = std::max(rivals["best_accuracy"].get<double>(), point.accuracy);
      rivals["mean_accuracy"] = rivals["mean_accuracy"].get<double>() + point.accuracy / static_cast<double>(random.size());
    }
    validation["predicted"] = predicted;
    validation["random"] = rivals;
    (*record)["layers"] = layers_json(found.config, parts.space);
    (*record)["relative"] = found.relative;
    (*record)["validation"] = validation;
    std::cerr << "search: " << to_string(found.config, parts.space) << ", relative cost " << found.relative << "; judging it and random ones as integers\n";
    const auto controls = std::min(random.size(), static_cast<std::size_t>(settings_.controls));
    (*record)["against_random"] = against_random(*training, found.config, {random.begin(), random.begin() + static_cast<std::ptrdiff_t>(controls)});
    training->model = export_with(*training, {{"searched", found.config}});
  }

  Settings settings_;
  std::shared_ptr<ElasticSteps> steps_;
};

}  // namespace

std::unique_ptr<Method> make_eqnet(const Recipe& recipe) { return std::make_unique<EqNet>(read_settings(recipe)); }

}  // namespace bitpilot
