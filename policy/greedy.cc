#include "policy/greedy.h"

#include <algorithm>
#include <map>
#include <set>

namespace bitpilot {
namespace {

/// One layer's weights or activations one rung up or down.
struct Move {
  std::size_t layer = 0;
  bool weights = true;
  int direction = -1;
};

class Search {
 public:
  Search(const DrawSpace& from, const ConfigJudge& judge, const GreedyOptions& options)
      : from_(from), judge_(judge), options_(options) {}

  GreedyResult run() {
    check_budget(from_, options_.budget);
    config_ = uniform(options_.start_bits, options_.start_bits);
    judged(config_);
    visited_.insert(config_);
    const int most =
        options_.most_iterations > 0 ? options_.most_iterations : 8 * static_cast<int>(from_.space.layers.size());
    const double weights_goal = std::max(options_.budget, 0.95 * from_.relative(weights_target()));
    int made = 0;
    bool any = true;
    while (any && from_.relative(config_) > weights_goal) any = step(true, made++ >= most || circled_);
    circled_ = false;
    while (from_.relative(config_) > options_.budget) {
      if (!step(false, made >= most || circled_) && !step(true, true) && !step(false, true)) break;
      ++made;
    }
    // Where measured times are not monotone the lowest bits may cost more than the budget that others meet.
    if (from_.relative(config_) > options_.budget) judged(cheapest_config(from_));
    for (GreedyResult found = result();;) {
      exchange(found.best.config);
      GreedyResult next = result();
      if (next.best.loss >= found.best.loss) return next;
      found = std::move(next);
    }
  }

 private:
  static int from_above(const std::vector<int>& ladder, int bits) {
    const auto at = std::lower_bound(ladder.begin(), ladder.end(), bits);
    return at == ladder.end() ? ladder.back() : *at;
  }
  /// Every layer at the nearest offered bits from above.
  BitConfig uniform(int weight_bits, int activation_bits) const {
    BitConfig config = highest_config(from_);
    for (std::size_t l = 0; l < config.size(); ++l) {
      if (from_.space.layers[l].fixed) continue;
      config[l].weight = from_above(offered(from_, l, true), weight_bits);
      config[l].activation = from_above(offered(from_, l, false), activation_bits);
    }
    return config;
  }
  /// Weights at the lowest uniform width whose uniform cost reaches the budget, activations at the start's.
  BitConfig weights_target() const {
    for (int bits = 2; bits <= 8; ++bits)
      if (from_.relative(uniform(bits, bits)) >= options_.budget) return uniform(bits, options_.start_bits);
    return uniform(options_.start_bits, options_.start_bits);
  }

  const SearchPoint& judged(const BitConfig& config) {
    const auto [found, added] = seen_.try_emplace(config);
    if (added) {
      found->second = judge_(config);
      found->second.config = config;
      found->second.relative = from_.relative(config);
    }
    return found->second;
  }

  bool apply(BitConfig& config, const Move& move) const {
    if (from_.space.layers[move.layer].fixed) return false;
    const std::vector<int> ladder = offered(from_, move.layer, move.weights);
    int& bits = move.weights ? config[move.layer].weight : config[move.layer].activation;
    const auto at = std::lower_bound(ladder.begin(), ladder.end(), bits) - ladder.begin() + move.direction;
    if (at < 0 || at >= std::ssize(ladder)) return false;
    bits = ladder[static_cast<std::size_t>(at)];
    return true;
  }

  /// Makes the best move of a phase; false if there is none.  One that leads back to where the walk has been begins a circle: from there on
  /// the phase only goes down.
  bool step(bool weights, bool only_down) {
    std::vector<SearchPoint> moves;
    for (std::size_t l = 0; l < config_.size(); ++l) {
      for (const int direction : {-1, 1}) {
        const Move move{l, weights, direction};
        BitConfig config = config_;
        if ((only_down && direction > 0) || !apply(config, move)) continue;
        moves.push_back(judged(config));
      }
    }
    if (moves.empty()) return false;
    const auto [least_loss, most_loss] = std::minmax_element(
        moves.begin(), moves.end(), [](const auto& a, const auto& b) { return a.loss < b.loss; });
    const auto [least_cost, most_cost] = std::minmax_element(
        moves.begin(), moves.end(), [](const auto& a, const auto& b) { return a.relative < b.relative; });
    const auto normal = [](double value, double low, double high) {
      return high > low ? (value - low) / (high - low) : 0.0;
    };
    double best_score = 1e300;
    const SearchPoint* best = nullptr;
    for (const SearchPoint& candidate : moves) {
      const double score = options_.loss_weight * normal(candidate.loss, least_loss->loss, most_loss->loss) +
                           normal(candidate.relative, least_cost->relative, most_cost->relative);
      if (score >= best_score) continue;
      best_score = score;
      best = &candidate;
    }
    if (!only_down && visited_.contains(best->config)) {
      circled_ = true;
      return step(weights, true);
    }
    config_ = best->config;
    visited_.insert(config_);
    if (options_.on_move) options_.on_move(*best);
    return true;
  }

  /// Judges a configuration's neighbours, one tensor a rung up or down, and of the pairs of one up and another down that keep the budget those
  /// that promise most if losses add up: one a tensor.
  void exchange(const BitConfig& config) {
    struct Pair {
      double gain;
      BitConfig config;
    };
    const double loss = judged(config).loss;
    std::vector<Pair> pairs;
    const std::vector<Move> downs = moves_from(config, -1);
    for (const Move& up : moves_from(config, 1)) {
      BitConfig higher = config;
      apply(higher, up);
      const double up_gain = loss - judged(higher).loss;
      for (const Move& down : downs) {
        BitConfig lower = config, both = higher;
        if (!apply(lower, down) || !apply(both, down) || both == config || from_.relative(both) > options_.budget) continue;
        const double gain = up_gain + loss - judged(lower).loss;
        if (gain > 0) pairs.push_back({gain, both});
      }
    }
    std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.gain > b.gain; });
    if (pairs.size() > 2 * config.size()) pairs.resize(2 * config.size());
    for (const Pair& pair : pairs) judged(pair.config);
  }

  std::vector<Move> moves_from(const BitConfig& config, int direction) const {
    std::vector<Move> moves;
    for (std::size_t l = 0; l < config.size(); ++l)
      for (const bool weights : {true, false}) {
        BitConfig moved = config;
        if (apply(moved, {l, weights, direction})) moves.push_back({l, weights, direction});
      }
    return moves;
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

  const DrawSpace& from_;
  const ConfigJudge& judge_;
  const GreedyOptions& options_;
  BitConfig config_;
  bool circled_ = false;  // in this phase
  std::map<BitConfig, SearchPoint, ConfigOrder> seen_;  // judged
  std::set<BitConfig, ConfigOrder> visited_;            // moved to
};

}  // namespace

GreedyResult greedy_search(const DrawSpace& from, const ConfigJudge& judge, const GreedyOptions& options) {
  return Search(from, judge, options).run();
}

}  // namespace bitpilot
