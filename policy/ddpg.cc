#include "policy/ddpg.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "policy/bit_distribution.h"
#include "policy/trainable_mlp.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr int kStateSize = 10;
constexpr int kPreviousAction = 8, kIsActivation = 9;

/// One decision: bits of the weights or of the activations of a layer.
struct Decision {
  std::size_t layer;
  bool activation;
  std::vector<float> state;  ///< [kStateSize], the previous action still 0
};

/// Of every adaptive layer in turn; all numbers min-max scaled over the decisions.
std::vector<Decision> decisions_of(const Network& network, const BitSpace& space) {
  std::vector<Decision> decisions;
  for (std::size_t l = 0; l < space.layers.size(); ++l) {
    if (space.layers[l].fixed) continue;
    const int layer = static_cast<int>(l);
    const Node& node = network.layer(layer);
    const Shape read = network.nodes[static_cast<std::size_t>(node.inputs.front())].shape;
    for (const bool activation : {false, true})
      decisions.push_back({l, activation,
                           {network.depthwise(layer) ? 1.0F : 0.0F, static_cast<float>(network.in_channels(layer)),
                            static_cast<float>(node.shape.channels), static_cast<float>(node.stride),
                            static_cast<float>(node.kernel), static_cast<float>(network.weight_count(layer)),
                            static_cast<float>(read.height), static_cast<float>(l), 0.0F, activation ? 1.0F : 0.0F}});
  }
  for (std::size_t column = 0; column < kStateSize; ++column) {
    float low = decisions.front().state[column], high = low;
    for (const Decision& d : decisions) {
      low = std::min(low, d.state[column]);
      high = std::max(high, d.state[column]);
    }
    for (Decision& d : decisions) d.state[column] = high > low ? (d.state[column] - low) / (high - low) : 0.0F;
  }
  return decisions;
}

struct Transition {
  std::vector<float> state, next;
  float action = 0, reward = 0, last = 0;
};

class Search {
 public:
  Search(const Network& network, const BitSpace& space, const CostTable& cost, const ConfigJudge& judge, const DdpgOptions& options)
      : space_(space), cost_(cost), judge_(judge), options_(options), decisions_(decisions_of(network, space)) {
    Random begin(options.seed, "ddpg.start");
    const int h = options.hidden;
    actor_ = TrainableMlp({kStateSize, h, h, 1}, begin, /*zero_end=*/true);
    critic_ = TrainableMlp({kStateSize + 1, h, h, 1}, begin, /*zero_end=*/false);
    target_actor_ = copy_of(actor_);
    target_critic_ = copy_of(critic_);
    actor_optimizer_ = std::make_unique<torch::optim::Adam>(actor_.parameters, torch::optim::AdamOptions(options.actor_rate));
    critic_optimizer_ = std::make_unique<torch::optim::Adam>(critic_.parameters, torch::optim::AdamOptions(options.critic_rate));
  }

  DdpgResult run() {
    if (const double least = relative(std::vector<int>(decisions_.size(), 0)); least > options_.budget)
      throw Error(ExitCode::kUsage, "no configuration at whole width costs as little as " + std::to_string(options_.budget), "budget",
                  "give at least " + std::to_string(least));
    const double original = judge_(uniform_config(space_, 8, 8)).accuracy;
    DdpgResult result;
    result.evaluations = 1;
    double baseline = 0;
    for (int episode = 0; episode < options_.episodes; ++episode) {
      Random random(options_.seed, "ddpg.episode", static_cast<std::uint64_t>(episode));
      std::vector<Transition> path = walk(episode, random);
      const BitConfig config = config_of(path);
      SearchPoint point = judge_(config);
      point.config = config;
      point.relative = cost_.cost(point.config) / cost_.reference();
      ++result.evaluations;
      const bool better = point.accuracy > result.best.accuracy ||
                          (point.accuracy == result.best.accuracy && point.relative < result.best.relative);
      if (episode == 0 || better) result.best = point;
      const double reward = 0.1 * 100 * (point.accuracy - original);
      baseline = episode == 0 ? reward : baseline + options_.baseline_rate * (reward - baseline);
      for (Transition& t : path) {
        t.reward = static_cast<float>(reward);
        replay_.push_back(std::move(t));
      }
      while (replay_.size() > decisions_.size() * static_cast<std::size_t>(options_.replay_per_step)) replay_.pop_front();
      if (episode >= options_.warm_up)
        for (std::size_t update = 0; update < decisions_.size(); ++update) learn(static_cast<float>(baseline), random);
      if (options_.on_episode) options_.on_episode(result.best, result.evaluations);
    }
    return result;
  }

 private:
  static TrainableMlp copy_of(const TrainableMlp& network) {
    TrainableMlp copy;
    for (const torch::Tensor& p : network.parameters) copy.parameters.push_back(p.detach().clone());
    return copy;
  }
  static torch::Tensor act(const TrainableMlp& actor, const torch::Tensor& states) { return torch::sigmoid(actor.forward(states)); }
  static torch::Tensor value(const TrainableMlp& critic, const torch::Tensor& states, const torch::Tensor& actions) {
    return critic.forward(torch::cat({states, actions}, 1));
  }

  const std::vector<int>& ladder(std::size_t d) const { return space_.layers[decisions_[d].layer].bits; }
  int rung_of(double action, std::size_t d) const {
    const auto rungs = static_cast<int>(ladder(d).size());
    return std::clamp(static_cast<int>(action * rungs), 0, rungs - 1);
  }
  BitConfig config_of(const std::vector<int>& rungs) const {
    BitConfig config = uniform_config(space_, 8, 8);
    for (std::size_t d = 0; d < rungs.size(); ++d) {
      LayerBits& bits = config[decisions_[d].layer];
      (decisions_[d].activation ? bits.activation : bits.weight) = ladder(d)[static_cast<std::size_t>(rungs[d])];
    }
    return config;
  }
  double relative(const std::vector<int>& rungs) const { return cost_.cost(config_of(rungs)) / cost_.reference(); }
  BitConfig config_of(const std::vector<Transition>& path) const {
    std::vector<int> rungs;
    for (std::size_t d = 0; d < path.size(); ++d) rungs.push_back(rung_of(path[d].action, d));
    return config_of(lowered(std::move(rungs)));
  }
  /// Rung by rung from the last layer to the first, until the cost fits.
  std::vector<int> lowered(std::vector<int> rungs) const {
    while (relative(rungs) > options_.budget) {
      for (std::size_t d = rungs.size(); d-- > 0 && relative(rungs) > options_.budget;) rungs[d] = std::max(0, rungs[d] - 1);
    }
    return rungs;
  }

  double explore(double mean, int episode, Random& random) const {
    if (episode < options_.warm_up) return random.uniform();
    const double spread = options_.spread * std::pow(options_.fade, episode - options_.warm_up);
    const double low = normal_cdf(-mean / spread), high = normal_cdf((1 - mean) / spread);
    return std::clamp(mean + spread * normal_quantile(std::clamp(low + random.uniform() * (high - low), 1e-9, 1 - 1e-9)), 0.0, 1.0);
  }

  /// One strategy, layer by layer.
  std::vector<Transition> walk(int episode, Random& random) const {
    const torch::NoGradGuard no_grad;
    std::vector<Transition> path;
    for (std::size_t d = 0; d < decisions_.size(); ++d) {
      Transition t;
      t.state = decisions_[d].state;
      t.state[kPreviousAction] = d > 0 ? path.back().action : 0.0F;
      t.state[kIsActivation] = decisions_[d].activation ? 1.0F : 0.0F;
      const double mean = act(actor_, torch::tensor(t.state).unsqueeze(0)).item<double>();
      t.action = static_cast<float>(explore(mean, episode, random));
      if (d > 0) path.back().next = t.state;
      path.push_back(std::move(t));
    }
    path.back().next = path.back().state;
    path.back().last = 1;
    return path;
  }

  void learn(float baseline, Random& random) {
    std::vector<float> states, nexts, actions, rewards, going_on;
    for (int i = 0; i < options_.batch; ++i) {
      const Transition& t = replay_[random.below(replay_.size())];
      states.insert(states.end(), t.state.begin(), t.state.end());
      nexts.insert(nexts.end(), t.next.begin(), t.next.end());
      actions.push_back(t.action);
      rewards.push_back(t.reward - baseline);
      going_on.push_back(1 - t.last);
    }
    const std::int64_t n = options_.batch;
    const torch::Tensor state = torch::tensor(states).view({n, -1}), next = torch::tensor(nexts).view({n, -1});
    torch::Tensor wanted;
    {
      const torch::NoGradGuard no_grad;
      wanted = torch::tensor(rewards).view({n, 1}) +
               torch::tensor(going_on).view({n, 1}) * value(target_critic_, next, act(target_actor_, next));
    }
    critic_optimizer_->zero_grad();
    (value(critic_, state, torch::tensor(actions).view({n, 1})) - wanted).square().mean().backward();
    critic_optimizer_->step();
    actor_optimizer_->zero_grad();
    (-value(critic_, state, act(actor_, state))).mean().backward();
    actor_optimizer_->step();
    const torch::NoGradGuard no_grad;
    follow(target_actor_, actor_);
    follow(target_critic_, critic_);
  }
  void follow(TrainableMlp& target, const TrainableMlp& network) const {
    for (std::size_t p = 0; p < target.parameters.size(); ++p) target.parameters[p].lerp_(network.parameters[p], options_.target_rate);
  }

  const BitSpace& space_;
  const CostTable& cost_;
  const ConfigJudge& judge_;
  const DdpgOptions& options_;
  std::vector<Decision> decisions_;
  TrainableMlp actor_, critic_, target_actor_, target_critic_;
  std::unique_ptr<torch::optim::Adam> actor_optimizer_, critic_optimizer_;
  std::deque<Transition> replay_;
};

}  // namespace

DdpgResult fit_ddpg(const Network& network, const BitSpace& space, const CostTable& cost, const ConfigJudge& judge,
                    const DdpgOptions& options) {
  return Search(network, space, cost, judge, options).run();
}

}  // namespace bitpilot
