#include "policy/genetic.h"

#include <algorithm>
#include <numeric>

namespace bitpilot {
namespace {

constexpr int kRejections = 50;

class Evolution {
 public:
  Evolution(const DrawSpace& space, const ConfigPredictor& predict, const GeneticOptions& options)
      : space_(space), predict_(predict), options_(options) {}

  void run() {
    std::vector<BitConfig> first;
    for (int i = 0; i < options_.population; ++i) {
      Random random(options_.seed, "genetic, first", static_cast<std::uint64_t>(i));
      first.push_back(feasible(random, [&] { return uniform_draw(space_, random); }));
    }
    add(std::move(first));
    const auto parents = std::max<std::size_t>(2, static_cast<std::size_t>(options_.parents * options_.population));
    for (int generation = 0; generation < options_.generations; ++generation) {
      keep(parents);
      std::vector<BitConfig> children;
      for (int i = static_cast<int>(size()); i < options_.population; ++i) {
        Random random(options_.seed, "genetic, child",
                      static_cast<std::uint64_t>(generation) * static_cast<std::uint64_t>(options_.population) + static_cast<std::uint64_t>(i));
        children.push_back(feasible(random, [&] { return i % 2 == 0 ? mutated(random) : crossed(random); }));
      }
      add(std::move(children));
    }
    keep(static_cast<std::size_t>(options_.remeasured));
  }

  const std::vector<BitConfig>& configs() const { return configs_; }
  const std::vector<double>& values() const { return values_; }

 private:
  std::size_t size() const { return configs_.size(); }
  bool fits(const BitConfig& config) const { return space_.relative(config) <= options_.budget; }

  template <class Draw>
  BitConfig feasible(Random& random, const Draw& draw) const {
    BitConfig config = draw();
    for (int tries = 0; tries < kRejections && !fits(config); ++tries) config = draw();
    // A band of the whole budget: only downward moves are made.
    if (!fits(config) && !move_to_budget(space_, options_.budget, /*tolerance=*/1, random, config)) config = cheapest_config(space_);
    return config;
  }

  BitConfig mutated(Random& random) const {
    BitConfig config = configs_[random.below(size())];
    const BitConfig fresh = uniform_draw(space_, random);
    for (std::size_t l = 0; l < config.size(); ++l) {
      if (random.uniform() < options_.mutation) config[l].weight = fresh[l].weight;
      if (random.uniform() < options_.mutation) config[l].activation = fresh[l].activation;
    }
    return config;
  }

  BitConfig crossed(Random& random) const {
    BitConfig config = configs_[random.below(size())];
    const BitConfig& other = configs_[random.below(size())];
    for (std::size_t l = 0; l < config.size(); ++l) {
      if (random.below(2) == 0) config[l].weight = other[l].weight;
      if (random.below(2) == 0) config[l].activation = other[l].activation;
    }
    return config;
  }

  void add(std::vector<BitConfig> fresh) {
    const std::vector<double> values = predict_(fresh);
    values_.insert(values_.end(), values.begin(), values.end());
    std::move(fresh.begin(), fresh.end(), std::back_inserter(configs_));
  }

  /// The best `count` different ones, best first.
  void keep(std::size_t count) {
    std::vector<std::size_t> order(size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values_[a] > values_[b]; });
    std::vector<BitConfig> configs;
    std::vector<double> values;
    for (const std::size_t i : order) {
      if (configs.size() == count) break;
      if (std::find(configs.begin(), configs.end(), configs_[i]) != configs.end()) continue;
      configs.push_back(configs_[i]);
      values.push_back(values_[i]);
    }
    configs_ = std::move(configs);
    values_ = std::move(values);
  }

  const DrawSpace& space_;
  const ConfigPredictor& predict_;
  const GeneticOptions& options_;
  std::vector<BitConfig> configs_;
  std::vector<double> values_;
};

}  // namespace

GeneticResult genetic_search(const DrawSpace& space, const ConfigPredictor& predict, const ConfigJudge& judge, const GeneticOptions& options) {
  check_budget(space, options.budget);
  Evolution evolution(space, predict, options);
  evolution.run();
  GeneticResult result;
  result.predicted = evolution.values();
  for (const BitConfig& config : evolution.configs()) {
    SearchPoint point = judge(config);
    point.config = config;
    point.relative = space.relative(config);
    if (result.remeasured.empty() || point.loss < result.best.loss) result.best = point;
    result.remeasured.push_back(std::move(point));
  }
  return result;
}

}  // namespace bitpilot
