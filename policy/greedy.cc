#include "policy/greedy.h"

#include <algorithm>
#include <map>

#include "env/config_outcomes.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

std::vector<int> key_of(const BitConfig& config) {
  std::vector<int> key;
  for (const LayerBits& bits : config) key.insert(key.end(), {bits.weight, bits.activation, bits.active_blocks});
  return key;
}

/// One layer's weights or activations one rung up or down.
struct Move {
  std::size_t layer = 0;
  bool weights = true;
  int direction = -1;
  bool undoes(const Move& other) const {
    return layer == other.layer && weights == other.weights && direction == -other.direction;
  }
};

class Search {
 public:
  Search(const BitSpace& space, const CostTable& cost, const ConfigJudge& judge, const GreedyOptions& options)
      : space_(space), cost_(cost), judge_(judge), options_(options) {}

  GreedyResult run() {
    if (relative(lowest()) > options_.budget)
      throw Error(ExitCode::kUsage, "no configuration costs as little as " + std::to_string(options_.budget),
                  "--budget", "give at least " + std::to_string(relative(lowest())));
    config_ = start();
    judged(config_);
    const int most =
        options_.most_iterations > 0 ? options_.most_iterations : 8 * static_cast<int>(space_.layers.size());
    const double weights_goal = std::max(options_.budget, 0.95 * relative(weights_target()));
    int made = 0;
    bool any = true;
    while (any && relative(config_) > weights_goal) any = step(true, made++ >= most);
    while (relative(config_) > options_.budget) {
      if (!step(false, made >= most) && !step(true, true)) break;
      ++made;
    }
    return result();
  }

 private:
  double relative(const BitConfig& config) const { return cost_.cost(config) / cost_.reference(); }

  BitConfig at_bits(const std::function<int(const std::vector<int>&)>& weight,
                    const std::function<int(const std::vector<int>&)>& activation) const {
    BitConfig config = uniform_config(space_, 8, 8);
    for (std::size_t l = 0; l < config.size(); ++l) {
      if (space_.layers[l].fixed) continue;
      config[l].weight = weight(space_.layers[l].bits);
      config[l].activation = activation(space_.layers[l].bits);
      if (options_.least.empty()) continue;
      config[l].weight = std::max(config[l].weight, options_.least[l].weight);
      config[l].activation = std::max(config[l].activation, options_.least[l].activation);
    }
    return config;
  }
  static int from_above(const std::vector<int>& ladder, int bits) {
    const auto at = std::lower_bound(ladder.begin(), ladder.end(), bits);
    return at == ladder.end() ? ladder.back() : *at;
  }
  BitConfig lowest() const {
    const auto least = [](const std::vector<int>& ladder) { return ladder.front(); };
    return at_bits(least, least);
  }
  BitConfig start() const {
    const auto middle = [&](const std::vector<int>& ladder) { return from_above(ladder, options_.start_bits); };
    return at_bits(middle, middle);
  }
  /// Weights at the lowest uniform width whose uniform cost reaches the budget, activations at the start's.
  BitConfig weights_target() const {
    for (int bits = 2; bits <= 8; ++bits) {
      const auto uniform = [&](const std::vector<int>& ladder) { return from_above(ladder, bits); };
      if (relative(at_bits(uniform, uniform)) < options_.budget) continue;
      return at_bits(uniform, [&](const std::vector<int>& ladder) { return from_above(ladder, options_.start_bits); });
    }
    return start();
  }

  const SearchPoint& judged(const BitConfig& config) {
    const auto [found, added] = seen_.try_emplace(key_of(config));
    if (added) {
      found->second = judge_(config);
      found->second.config = config;
      found->second.relative = relative(config);
    }
    return found->second;
  }

  bool apply(BitConfig& config, const Move& move) const {
    const auto& ladder = space_.layers[move.layer].bits;
    if (space_.layers[move.layer].fixed) return false;
    int& bits = move.weights ? config[move.layer].weight : config[move.layer].activation;
    const auto at = std::lower_bound(ladder.begin(), ladder.end(), bits) - ladder.begin() + move.direction;
    if (at < 0 || at >= std::ssize(ladder)) return false;
    bits = ladder[static_cast<std::size_t>(at)];
    if (options_.least.empty()) return true;
    const LayerBits& least = options_.least[move.layer];
    return bits >= (move.weights ? least.weight : least.activation);
  }

  /// Makes the best move of a phase; false if there is none.
  bool step(bool weights, bool only_down) {
    std::vector<std::pair<Move, SearchPoint>> moves;
    for (std::size_t l = 0; l < config_.size(); ++l) {
      for (const int direction : {-1, 1}) {
        const Move move{l, weights, direction};
        BitConfig config = config_;
        if ((only_down && direction > 0) || (moved_ && move.undoes(last_)) || !apply(config, move)) continue;
        moves.emplace_back(move, judged(config));
      }
    }
    if (moves.empty()) {
      moved_ = false;
      return false;
    }
    const auto [least_loss, most_loss] = std::minmax_element(
        moves.begin(), moves.end(), [](const auto& a, const auto& b) { return a.second.loss < b.second.loss; });
    const auto [least_cost, most_cost] = std::minmax_element(
        moves.begin(), moves.end(), [](const auto& a, const auto& b) { return a.second.relative < b.second.relative; });
    const auto normal = [](double value, double low, double high) {
      return high > low ? (value - low) / (high - low) : 0.0;
    };
    double best_score = 1e300;
    const std::pair<Move, SearchPoint>* best = nullptr;
    for (const auto& candidate : moves) {
      const double score =
          options_.loss_weight * normal(candidate.second.loss, least_loss->second.loss, most_loss->second.loss) +
          normal(candidate.second.relative, least_cost->second.relative, most_cost->second.relative);
      if (score >= best_score) continue;
      best_score = score;
      best = &candidate;
    }
    last_ = best->first;
    moved_ = true;
    config_ = best->second.config;
    if (options_.on_move) options_.on_move(best->second);
    return true;
  }

  GreedyResult result() const {
    GreedyResult result;
    result.evaluations = static_cast<int>(seen_.size());
    std::vector<SearchPoint> points;
    for (const auto& [key, point] : seen_) points.push_back(point);
    std::sort(points.begin(), points.end(), [](const SearchPoint& a, const SearchPoint& b) {
      return a.relative != b.relative ? a.relative < b.relative : a.loss < b.loss;
    });
    for (const SearchPoint& point : points) {
      if (result.pareto.empty() || point.loss < result.pareto.back().loss) result.pareto.push_back(point);
    }
    for (const SearchPoint& point : result.pareto) {
      if (point.relative <= options_.budget) result.best = point;
    }
    return result;
  }

  const BitSpace& space_;
  const CostTable& cost_;
  const ConfigJudge& judge_;
  const GreedyOptions& options_;
  BitConfig config_;
  Move last_;
  bool moved_ = false;
  std::map<std::vector<int>, SearchPoint> seen_;
};

}  // namespace

ConfigJudge engine_judge(std::shared_ptr<const Model> model, std::shared_ptr<const std::vector<Sample>> samples,
                         int threads) {
  auto memory = std::make_shared<std::map<std::vector<int>, SearchPoint>>();
  const CostTable cost = bops_table(model->data().network, model->data().space);
  return [model, samples, threads, memory, cost](const BitConfig& config) {
    const auto [found, added] = memory->try_emplace(key_of(config));
    if (!added) return found->second;
    SearchPoint point;
    try {
      const auto sample_at = [&](std::size_t i) { return (*samples)[i]; };
      const PictureOutcomes outcomes =
          run_configs(model, cost, samples->size(), sample_at, [&](std::size_t) -> const BitConfig& { return config; }, threads);
      for (std::size_t i = 0; i < samples->size(); ++i) {
        point.loss += outcomes.loss[i] / static_cast<double>(samples->size());
        point.accuracy += outcomes.correct[i] / static_cast<double>(samples->size());
      }
    } catch (...) {
      memory->erase(key_of(config));
      throw;
    }
    point.config = config;
    return found->second = point;
  };
}

GreedyResult greedy_search(const BitSpace& space, const CostTable& cost, const ConfigJudge& judge,
                           const GreedyOptions& options) {
  return Search(space, cost, judge, options).run();
}

}  // namespace bitpilot
