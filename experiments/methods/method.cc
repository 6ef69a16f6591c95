#include "experiments/methods/method.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "policy/budget_configs.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

struct Entry {
  const char* name;
  std::unique_ptr<Method> (*make)(const Recipe&);
};

constexpr Entry kMethods[] = {
    {"dqmq", make_dqmq},
    {"rfquant", make_rfquant},
    {"eqnet", make_eqnet},
    {"qgt", make_qgt},
    {"abs", make_abs},
};

}  // namespace

nlohmann::json Method::end_epoch(const MethodStage&, std::int64_t) { return nullptr; }
nlohmann::json Method::finish(FinishedTraining*) { return nullptr; }

void check_method_budget(double budget, const Network& network, const BitSpace& space) {
  const CostTable cost = bops_table(network, space);
  const DrawSpace from{space, cost};
  const double least = from.relative(cheapest_config(from));
  if (least <= budget) return;
  char asked[32];
  std::snprintf(asked, sizeof asked, "%g", budget);
  throw Error(ExitCode::kData, std::string("no configuration of this recipe's bits costs as little as ") + asked + " of 8 bits everywhere",
              "recipe, method.budget", "give at least " + at_least(least));
}

std::unique_ptr<Method> make_method(const Recipe& recipe) {
  const std::string name = recipe.method.is_null() ? "dqmq" : recipe.method.at("name");
  for (const Entry& entry : kMethods)
    if (name == entry.name) return entry.make(recipe);
  std::vector<std::string> names;
  for (const Entry& entry : kMethods) names.emplace_back(entry.name);
  const std::string nearest = nearest_name(name, names);
  throw Error(ExitCode::kData, "there is no method \"" + name + "\"", "recipe, method.name",
              nearest.empty() ? "take dqmq" : "did you mean \"" + nearest + "\"?");
}

}  // namespace bitpilot
