#include "policy/reinforce.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bitpilot {
namespace {

constexpr double kLeastProbability = 1e-12;

double normal_density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }

/// d cdf(y) / d mean.
double cdf_slope(const BitDistribution& d, double y) {
  if (y <= 0 || y >= 1) return 0;
  if (d.family == BitFamily::kLogistic) {
    const double f = d.cdf(y);
    return -f * (1 - f) / d.spread;
  }
  const double a = -d.mean / d.spread, b = (1 - d.mean) / d.spread, x = (y - d.mean) / d.spread;
  const double mass = normal_cdf(b) - normal_cdf(a);
  const double numerator = normal_density(a) - normal_density(x), denominator = normal_density(a) - normal_density(b);
  return (numerator - d.cdf(y) * denominator) / (d.spread * mass);
}

std::vector<BitDistribution> logistics(const float* means, int layers, double spread) {
  std::vector<BitDistribution> result;
  for (int l = 0; l < layers; ++l) result.push_back({BitFamily::kLogistic, means[l], spread});
  return result;
}

/// A ReLU network as leaves of a graph, He-uniform from our own keyed stream; the output layer starts at 0: all medians
/// in the middle of the ladder.
std::vector<torch::Tensor> start(int inputs, int hidden, int outputs, std::uint64_t seed) {
  Random random(seed, "reinforce.start");
  torch::Tensor first = torch::empty({hidden, inputs});
  const double bound = std::sqrt(3.0 / inputs);
  for (std::int64_t i = 0; i < first.numel(); ++i)
    first.data_ptr<float>()[i] = static_cast<float>(random.uniform(-bound, bound));
  std::vector<torch::Tensor> parameters{first, torch::zeros({hidden}), torch::zeros({outputs, hidden}),
                                        torch::zeros({outputs})};
  for (torch::Tensor& p : parameters) p.requires_grad_(true);
  return parameters;
}

RealMlp plain(const std::vector<torch::Tensor>& parameters) {
  RealMlp network;
  for (std::size_t i = 0; i < parameters.size(); i += 2) {
    const torch::Tensor w = parameters[i].detach().contiguous(), b = parameters[i + 1].detach().contiguous();
    network.push_back({static_cast<int>(w.size(1)),
                       static_cast<int>(w.size(0)),
                       {w.data_ptr<float>(), w.data_ptr<float>() + w.numel()},
                       {b.data_ptr<float>(), b.data_ptr<float>() + b.numel()}});
  }
  return network;
}

}  // namespace

std::vector<int> sample_rungs(const std::vector<BitDistribution>& layers, int rungs, Random& random) {
  std::vector<int> action;
  for (const BitDistribution& layer : layers) {
    const std::vector<double> probability = layer.rung_probabilities(rungs);
    double left = random.uniform();
    int rung = 0;
    while (rung + 1 < rungs && left >= probability[static_cast<std::size_t>(rung)])
      left -= probability[static_cast<std::size_t>(rung++)];
    action.push_back(rung);
  }
  return action;
}

std::vector<int> median_rungs(const std::vector<BitDistribution>& layers, int rungs) {
  std::vector<int> action;
  for (const BitDistribution& layer : layers)
    action.push_back(nearest_rung(ladder_position(layer.median(), rungs), rungs));
  return action;
}

double score_of_mean(const BitDistribution& d, int rung, int rungs) {
  const double low = static_cast<double>(rung) / rungs, high = static_cast<double>(rung + 1) / rungs;
  const double probability = d.rung_probabilities(rungs)[static_cast<std::size_t>(rung)];
  return probability < kLeastProbability ? 0.0 : (cdf_slope(d, high) - cdf_slope(d, low)) / probability;
}

std::vector<double> reinforce_gradient(const std::vector<BitDistribution>& layers, int rungs, std::size_t picture,
                                       const ActionReward& reward, Random& random) {
  const std::vector<int> action = sample_rungs(layers, rungs, random);
  const double advantage = reward(picture, action) - reward(picture, median_rungs(layers, rungs));
  std::vector<double> gradient;
  for (std::size_t l = 0; l < layers.size(); ++l)
    gradient.push_back(advantage * score_of_mean(layers[l], action[l], rungs));
  return gradient;
}

RealMlp fit_reinforce(const Rows& states, int layers, int rungs, const ActionReward& reward,
                      const ReinforceOptions& options) {
  std::vector<torch::Tensor> parameters = start(states.columns, options.hidden, layers, options.seed);
  torch::optim::Adam optimizer(parameters, torch::optim::AdamOptions(options.learning_rate));
  const torch::Tensor all =
      torch::from_blob(const_cast<float*>(states.values.data()),
                       {static_cast<std::int64_t>(states.count()), states.columns}, torch::kFloat32);
  for (int step = 0; step < options.steps; ++step) {
    Random random(options.seed, "reinforce.step", static_cast<std::uint64_t>(step));
    std::vector<std::int64_t> rows;
    for (int i = 0; i < options.batch; ++i) rows.push_back(static_cast<std::int64_t>(random.below(states.count())));
    const torch::Tensor x = all.index_select(0, torch::tensor(rows, torch::kInt64));
    const torch::Tensor hidden = torch::relu(torch::addmm(parameters[1], x, parameters[0].t()));
    const torch::Tensor means = torch::addmm(parameters[3], hidden, parameters[2].t());
    const double done = static_cast<double>(step) / options.steps;
    const double spread = options.spread_high * std::pow(options.spread_low / options.spread_high, done);
    torch::Tensor uphill = torch::empty({options.batch, layers});
    for (int i = 0; i < options.batch; ++i) {
      const auto distributions = logistics(means.data_ptr<float>() + i * layers, layers, spread);
      const std::vector<double> gradient =
          reinforce_gradient(distributions, rungs, static_cast<std::size_t>(rows[static_cast<std::size_t>(i)]), reward, random);
      for (int l = 0; l < layers; ++l)
        uphill.data_ptr<float>()[i * layers + l] = static_cast<float>(-gradient[static_cast<std::size_t>(l)] / options.batch);
    }
    const double rate = options.learning_rate * (0.5 + 0.5 * std::cos(std::numbers::pi * done));
    static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options()).lr(rate);
    optimizer.zero_grad();
    means.backward(uphill);
    optimizer.step();
  }
  return plain(parameters);
}

std::vector<std::vector<int>> reinforce_actions(const RealMlp& network, const Rows& states, int rungs) {
  const Rows means = evaluate_network(network, states);
  std::vector<std::vector<int>> actions;
  for (std::size_t i = 0; i < means.count(); ++i)
    actions.push_back(median_rungs(logistics(means.row(i).data(), means.columns, /*spread=*/1.0), rungs));
  return actions;
}

}  // namespace bitpilot
