// DQMQ (arXiv:2302.04453): a policy that picks the bits of every layer for each picture, learned with the network that it steers.
//
//   supernet     all anchors over one set of weights (the recipe's stages); with "policy_share" its last steps train every picture on the
//                anchors that a policy would draw for it
//   M0           full information: every anchor run as integers on pictures that the backbone never saw; from it the temperatures, the
//                quality estimator, the first look and the stop rule                                          (policy/hybrid_learner)
//   prices       lambda for every budget, and the default one                                                 (policy/prices)
//   M1, M2       per-layer offsets and spreads by reparameterised gradients, through the exact simulator (fractional bits) or, where it
//                passes its gate, through a learned reward model                                              (policy/offset_learner)
#include <iostream>
#include <nlohmann/json.hpp>

#include "env/outcomes.h"
#include "experiments/cost_choice.h"
#include "experiments/methods/method.h"
#include "experiments/network_simulator.h"
#include "experiments/training_data.h"
#include "policy/hybrid_learner.h"
#include "policy/offset_learner.h"
#include "policy/prices.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"

namespace bitpilot {
namespace {

using nlohmann::json;

/// Per-layer offsets on top of a fitted policy; they stay only if they gain on validation.
json learn_offsets_of(FinishedTraining* training, const OutcomeTable& policy_split, const Draws& train, const OutcomeTable& validation,
                      const Draws& check) {
  const PolicyRecipe& recipe = training->request.recipe.policy;
  NetworkSimulator simulator(&training->supernet);
  OffsetInputs inputs;
  inputs.model = std::make_shared<const Model>(training->model);
  inputs.train = &policy_split;
  inputs.train_at = train.at;
  inputs.validation = &validation;
  inputs.validation_at = check.at;
  inputs.simulator = &simulator;
  OffsetOptions options;
  options.seed = training->request.recipe.seed;
  options.family = bit_family(recipe.distribution);
  options.steps = recipe.offset_steps;
  options.rollout_pictures = options.check_pictures = recipe.offset_pictures;
  return learn_offsets(training->model, inputs, options).log;
}

/// Budget table and default price, on many fresh draws of every picture that the backbone has not seen: what varies most from picture
/// to picture is whether it gets a second look, and that is as uncertain as there are few pictures.
json set_prices_of(FinishedTraining* training) {
  const Recipe& recipe = training->request.recipe;
  const auto model = std::make_shared<const Model>(training->model);
  const auto table_of = [&](const std::shared_ptr<const ImageSet>& split, const char* purpose) {
    const Draws draws = draws_of(recipe, training->model, split, purpose, recipe.policy.price_draws);
    return roll_out(model, draws.count, draws.at, training->request.threads);
  };
  const OutcomeTable validation = table_of(training->splits.validation, "prices/validation"),
                     policy_split = table_of(training->splits.policy, "prices/policy");
  std::vector<const OutcomeTable*> unseen{&validation}, fitted;
  (networks_decide(training->model) ? fitted : unseen).push_back(&policy_split);
  PriceOptions options;
  options.reference_anchor = recipe.policy.reference;
  options.allowed_loss = recipe.policy.reference_loss / 100;
  return set_prices(training->model, options, unseen, fitted).to_json();
}

/// Fits the policy of one or two looks on the policy split and chooses on validation, sets the prices, then learns the offsets.
void learn_policy(FinishedTraining* training) {
  const Recipe& recipe = training->request.recipe;
  const int threads = training->request.threads;
  const auto calibrated = std::make_shared<const Model>(training->model);
  const Draws train = draws_of(recipe, training->model, training->splits.policy, "policy", recipe.policy.draws),
              check = draws_of(recipe, training->model, training->splits.validation, "validation", recipe.policy.draws);
  const OutcomeTable policy_split = roll_out(calibrated, train.count, train.at, threads);
  const OutcomeTable validation = roll_out(calibrated, check.count, check.at, threads);
  PolicyOptions options;
  options.seed = recipe.seed;
  options.looks = recipe.policy.looks;
  options.reference_anchor = recipe.policy.reference;
  options.log = [](const std::string& line) { std::cerr << line << "\n"; };
  const CostChoice cost = read_cost(training->request.cost, training->model.network, training->model.space);
  options.cost = cost.table;
  options.deciding = cost.deciding;
  json log{{"looks", fit_policy(training->model, options, policy_split, validation).log}};
  log["prices"] = set_prices_of(training);
  if (cost.table.unit() != "bops") log["offsets"] = {{"skipped", "they are priced in bit operations"}};
  else if (recipe.policy.offset_steps > 0) log["offsets"] = learn_offsets_of(training, policy_split, train, validation, check);
  write_file_atomically(training->request.out + "/policy.json", log.dump(2) + "\n");
  training->validation = validation;
}

class Dqmq : public Method {
 public:
  json finish(FinishedTraining* training) override {
    if (training->request.recipe.policy.enabled) learn_policy(training);
    return nullptr;
  }
};

}  // namespace

std::unique_ptr<Method> make_dqmq(const Recipe& recipe) {
  if (!recipe.method.is_null()) JsonReader(recipe.method, "recipe, method").allow({"name"});
  return std::make_unique<Dqmq>();
}

}  // namespace bitpilot
