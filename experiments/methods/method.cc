#include "experiments/methods/method.h"

#include <nlohmann/json.hpp>

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
