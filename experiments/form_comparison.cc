#include "experiments/form_comparison.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "experiments/recipe.h"
#include "experiments/training_data.h"
#include "policy/paired_bootstrap.h"
#include "quant/elastic.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

using nlohmann::json;

/// One anchor of a model.
struct Judged {
  std::shared_ptr<const Model> model;
  std::size_t anchor = 0;
  std::vector<std::uint8_t> correct(const std::vector<Sample>& samples, int threads) const {
    const OutcomeTable table = roll_out(model, samples.size(), [&](std::size_t i) { return samples[i]; }, threads);
    std::vector<std::uint8_t> result(table.size());
    for (std::size_t i = 0; i < table.size(); ++i) result[i] = table.correct(i, anchor);
    return result;
  }
};

Judged judged(const std::string& file, const std::string& path) {
  Judged found{Model::load(file)};
  const std::vector<Anchor>& anchors = found.model->data().anchors;
  while (found.anchor < anchors.size() && anchors[found.anchor].name != path) ++found.anchor;
  if (found.anchor == anchors.size()) throw Error(ExitCode::kData, "the model has no anchor \"" + path + "\"", file, "give a run whose recipe has that path");
  return found;
}

}  // namespace

std::string form_file(const std::string& run, const std::string& form, const std::string& path) {
  std::string name = form + "-" + path;
  std::replace(name.begin(), name.end(), '/', '_');
  return run + "/forms/" + name + ".safetensors";
}

json compare_form(const std::string& run, const std::string& alone, const std::vector<std::vector<Sample>>& sets, int threads) {
  const Recipe recipe = read_run_recipe(alone);
  const json method = recipe.method.is_null() ? json::object() : recipe.method;
  const std::vector<std::string> forms = method.value("forms", std::vector<std::string>{});
  if (method.value("name", "") != "eqnet" || forms.size() != 1 || recipe.paths.size() != 1)
    throw Error(ExitCode::kData, "this run is not one Form at one path's bits", alone, "give a run of eqnet with one entry in \"forms\" and in \"paths\"");
  const std::string& path = recipe.paths.front().name;
  const bool in_model = forms.front() == form_name({});
  const Judged shared = judged(in_model ? run + "/model.safetensors" : form_file(run, forms.front(), path), path),
               own = judged(alone + "/model.safetensors", path);
  const ModelData &ours = shared.model->data(), &theirs = own.model->data();
  if (ours.network != theirs.network || ours.labels != theirs.labels || ours.anchors[shared.anchor].config != theirs.anchors[own.anchor].config)
    throw Error(ExitCode::kData, "the run has another network or other bits at \"" + path + "\"", alone, "compare runs of one network, data set and path");
  json result{{"form", forms.front()}, {"path", path}};
  for (std::size_t s = 0; s < sets.size(); ++s) {
    const std::vector<std::uint8_t> here = shared.correct(sets[s], threads), there = own.correct(sets[s], threads);
    constexpr int kResamples = 1000;
    result[evaluation_set_name(kEvaluationSets[s])] = {
        {"images", here.size()}, {"shared", share_right(here)}, {"alone", share_right(there)},
        {"difference", interval_json(paired_gain(here, {there.begin(), there.end()}, {}, /*seed=*/0, kResamples))}};
  }
  return result;
}

}  // namespace bitpilot
