#include "policy/config_judge.h"

#include <algorithm>
#include <tuple>

#include "env/config_outcomes.h"

namespace bitpilot {

ConfigJudge engine_judge(std::shared_ptr<const Model> model, std::shared_ptr<const std::vector<Sample>> samples,
                         int threads) {
  const CostTable cost = bops_table(model->data().network, model->data().space);
  return [model, samples, threads, cost](const BitConfig& config) {
    const auto sample_at = [&](std::size_t i) { return (*samples)[i]; };
    const auto config_of = [&](std::size_t) -> const BitConfig& { return config; };
    const PictureOutcomes outcomes = run_configs(model, cost, samples->size(), sample_at, config_of, threads);
    SearchPoint point;
    point.config = config;
    for (std::size_t i = 0; i < samples->size(); ++i) {
      point.loss += outcomes.loss[i] / static_cast<double>(samples->size());
      point.accuracy += outcomes.correct[i] / static_cast<double>(samples->size());
    }
    return point;
  };
}

bool ConfigOrder::operator()(const BitConfig& a, const BitConfig& b) const {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](const LayerBits& x, const LayerBits& y) {
    return std::tie(x.weight, x.activation, x.active_blocks) < std::tie(y.weight, y.activation, y.active_blocks);
  });
}

RememberingJudge::RememberingJudge(ConfigJudge judge)
    : judge_(std::move(judge)), memory_(std::make_shared<std::map<BitConfig, SearchPoint, ConfigOrder>>()) {}

SearchPoint RememberingJudge::operator()(const BitConfig& config) const {
  const auto known = memory_->find(config);
  return known != memory_->end() ? known->second : memory_->emplace(config, judge_(config)).first->second;
}

}  // namespace bitpilot
