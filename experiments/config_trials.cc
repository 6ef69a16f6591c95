#include "experiments/config_trials.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "env/outcomes.h"
#include "env/reward.h"
#include "policy/paired_bootstrap.h"

namespace bitpilot {

using nlohmann::json;

namespace {

constexpr std::size_t kTogether = 8;  // paths of one exported model; bounds the memory of its calibration

struct BatchOutcome {
  double loss = 0, right = 0;
};

}  // namespace

ModelData export_paths(const FinishedTraining& training, std::vector<PathSpec> paths, std::shared_ptr<Quantizers> quantizers) {
  QuantizedNetwork network = training.supernet.with_paths(std::move(paths));
  if (quantizers) network.set_quantizers(std::move(quantizers));
  recalibrate(&network, training.calibration);
  ModelData model = export_model(&network, training.calibration);
  model.labels = training.splits.train->labels();
  model.provenance = training.identity.dump();
  return model;
}

BatchJudge::BatchJudge(QuantizedNetwork* network, const std::vector<Sample>& samples, int threads)
    : network_(network), threads_(threads), pictures_(static_cast<double>(samples.size())) {
  constexpr std::size_t kPictures = 256;
  torch::NoGradGuard guard;
  std::vector<TrainingBatch> batches;
  for (std::size_t at = 0; at < samples.size(); at += kPictures) {
    const auto first = samples.begin() + static_cast<std::ptrdiff_t>(at);
    const TrainingBatch batch = to_batch({first, first + static_cast<std::ptrdiff_t>(std::min(kPictures, samples.size() - at))},
                                         network->network().input_shape());
    batches.push_back({network->stem(batch.src, {/*batch_statistics=*/false, /*momentum=*/0}), batch.labels});
  }
  batches_ = std::make_shared<const std::vector<TrainingBatch>>(std::move(batches));
}

SearchPoint BatchJudge::operator()(const BitConfig& config, const Quantizers* quantizers) const {
  std::vector<BatchOutcome> outcomes(batches_->size());
  std::vector<std::exception_ptr> failures(batches_->size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    torch::NoGradGuard no_gradients;  // of this thread
    for (std::size_t b = next++; b < outcomes.size(); b = next++) try {
        const TrainingBatch& batch = (*batches_)[b];
        const torch::Tensor scores = network_->forward_config(config, batch.src, quantizers);
        const torch::Tensor loss = torch::nll_loss(torch::log_softmax(scores, 1), batch.labels, {}, at::Reduction::None);
        outcomes[b] = {loss.clamp_max(kClippedLoss).sum().item<double>(), (scores.argmax(1) == batch.labels).sum().item<double>()};
      } catch (...) {
        failures[b] = std::current_exception();
      }
  };
  std::vector<std::thread> pool;
  for (int t = 1; t < threads_; ++t) pool.emplace_back(work);
  work();
  for (std::thread& thread : pool) thread.join();
  SearchPoint point;
  point.config = config;
  for (std::size_t b = 0; b < outcomes.size(); ++b) {
    if (failures[b]) std::rethrow_exception(failures[b]);
    point.loss += outcomes[b].loss / pictures_;
    point.accuracy += outcomes[b].right / pictures_;
  }
  return point;
}

std::vector<std::vector<Sample>> test_samples(const FinishedTraining& training) {
  const auto test = first_images(training.splits.test, static_cast<std::size_t>(training.request.recipe.evaluation_images));
  std::vector<std::vector<Sample>> sets;
  for (const EvaluationSet set : kEvaluationSets)
    sets.push_back(evaluation_samples(*test, set, standard_mixture(), training.model.network.input_shape(), training.model.preprocessing.stretch));
  return sets;
}

std::vector<ConfigTrials> try_model(const ModelData& data, const std::vector<std::vector<Sample>>& sets, int threads) {
  const auto model = std::make_shared<const Model>(data);
  std::vector<ConfigTrials> trials;
  for (const std::vector<Sample>& set : sets) {
    const OutcomeTable table = roll_out(model, set.size(), [&](std::size_t i) { return set[i]; }, threads);
    trials.push_back({{}, std::vector<double>(table.anchors, 0.0), table.index});
    for (std::size_t k = 0; k < table.anchors; ++k) {
      std::vector<std::uint8_t>& correct = trials.back().correct.emplace_back(table.size());
      for (std::size_t i = 0; i < table.size(); ++i) {
        correct[i] = table.correct(i, k);
        trials.back().loss[k] += task_loss(table.scores_of(i, k), 1.0F, table.labels[i]) / static_cast<double>(table.size());
      }
    }
  }
  return trials;
}

std::vector<ConfigTrials> try_configs(const FinishedTraining& training, const std::vector<BitConfig>& configs,
                                      const std::vector<std::vector<Sample>>& sets) {
  std::vector<ConfigTrials> trials(sets.size());
  for (std::size_t first = 0; first < configs.size(); first += kTogether) {
    std::vector<PathSpec> paths;
    for (std::size_t c = first; c < std::min(configs.size(), first + kTogether); ++c) paths.push_back({"config" + std::to_string(c), configs[c]});
    const std::vector<ConfigTrials> part = try_model(export_paths(training, std::move(paths)), sets, training.request.threads);
    for (std::size_t s = 0; s < sets.size(); ++s) {
      trials[s].index = part[s].index;
      trials[s].correct.insert(trials[s].correct.end(), part[s].correct.begin(), part[s].correct.end());
      trials[s].loss.insert(trials[s].loss.end(), part[s].loss.begin(), part[s].loss.end());
    }
  }
  return trials;
}

ModelData export_with(const FinishedTraining& training, const std::vector<PathSpec>& found) {
  std::vector<PathSpec> paths = training.supernet.paths();
  paths.insert(paths.end(), found.begin(), found.end());
  // The found ones stand behind: the run's safe anchor keeps its number.
  ModelData model = export_paths(training, std::move(paths));
  model.safe_anchor = training.model.safe_anchor;
  return model;
}

json gain_over_random(const ConfigTrials& trials, std::uint64_t seed) {
  const std::vector<std::uint8_t>& ours = trials.correct.front();
  const auto random = static_cast<double>(trials.correct.size() - 1);
  std::vector<double> mean(ours.size(), 0.0);
  double best = 0;
  for (std::size_t c = 1; c < trials.correct.size(); ++c) {
    best = std::max(best, share_right(trials.correct[c]));
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += trials.correct[c][i] / random;
  }
  double random_mean = 0;
  for (const double share : mean) random_mean += share / static_cast<double>(mean.size());
  return {{"found", share_right(ours)}, {"random_mean", random_mean}, {"random_best", best}, {"images", ours.size()},
          {"gain", interval_json(paired_gain(ours, mean, trials.index, seed, /*resamples=*/1000))}};
}

json against_random(const FinishedTraining& training, const BitConfig& found, const std::vector<BitConfig>& random) {
  const std::vector<std::vector<Sample>> sets = test_samples(training);
  std::vector<BitConfig> configs{found};
  configs.insert(configs.end(), random.begin(), random.end());
  const std::vector<ConfigTrials> trials = try_configs(training, configs, sets);
  json result = json::object();
  for (std::size_t s = 0; s < sets.size(); ++s)
    result[evaluation_set_name(kEvaluationSets[s])] = gain_over_random(trials[s], training.request.recipe.seed);
  return result;
}

json layers_json(const BitConfig& config, const BitSpace& space) {
  json rows = json::array();
  for (std::size_t l = 0; l < config.size(); ++l) {
    if (space.layers[l].fixed) continue;
    rows.push_back({config[l].weight, config[l].activation});
    if (config[l].active_blocks != space.layers[l].blocks) rows.back().push_back(config[l].active_blocks);
  }
  return rows;
}

}  // namespace bitpilot
