#include "experiments/finalists.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/accuracy_predictor.h"
#include "policy/paired_bootstrap.h"

namespace bitpilot {

using nlohmann::json;

SearchPoint choose_finalist(const std::vector<SearchPoint>& finalists, const ConfigTrials& integers, json* record) {
  std::vector<double> by_batch;
  json rows = json::array();
  for (std::size_t i = 0; i < finalists.size(); ++i) {
    by_batch.push_back(finalists[i].loss);
    rows.push_back({{"relative", finalists[i].relative}, {"loss", integers.loss[i]}, {"accuracy", share_right(integers.correct[i])},
                    {"loss_by_batch_statistics", finalists[i].loss}, {"accuracy_by_batch_statistics", finalists[i].accuracy}});
  }
  const auto best = static_cast<std::size_t>(std::min_element(integers.loss.begin(), integers.loss.end()) - integers.loss.begin());
  *record = rows[best];
  (*record)["images"] = integers.index.size();
  (*record)["finalists"] = rows;
  (*record)["kendall"] = kendall(by_batch, integers.loss);
  SearchPoint chosen = finalists[best];
  chosen.loss = integers.loss[best];
  chosen.accuracy = share_right(integers.correct[best]);
  return chosen;
}

SearchPoint choose_as_integers(const FinishedTraining& training, const std::vector<SearchPoint>& finalists, const std::vector<Sample>& samples,
                               json* record) {
  std::vector<BitConfig> configs;
  for (const SearchPoint& point : finalists) configs.push_back(point.config);
  return choose_finalist(finalists, try_configs(training, configs, {samples}).front(), record);
}

}  // namespace bitpilot
