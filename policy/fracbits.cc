#include "policy/fracbits.h"

#include <torch/torch.h>

#include <cmath>
#include <map>

#include "env/simulator.h"
#include "policy/relaxed_bits.h"
#include "policy/simulated_batch.h"
#include "policy/trainable_mlp.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr double kNearEnough = 0.01;  // of the budget
constexpr double kFinest = 0.0005;    // difference of costs, of the budget, that is told apart
constexpr double kSlopeMemory = 0.95;
constexpr double kLeastSlope = 1e-6;

/// A way to set the layers so far.
struct Prefix {
  double distance = 0, cost = 0;
  BitConfig config;
};

/// The uniform position, in steps of each ladder, whose relaxed cost is `budget`.
double uniform_position(const LadderTensors& ladder, double budget) {
  double low = 0, high = static_cast<double>(ladder.bits.size(1) - 1);
  for (int step = 0; step < 40; ++step) {
    const double middle = (low + high) / 2;
    const torch::Tensor position = torch::full({1, ladder.bits.size(0), 2}, middle) * ladder.adaptive.view({1, -1, 1});
    const double relative = cost_of(ladder, nearest_anchors(ladder, position), position).item<double>();
    (relative > budget ? high : low) = middle;
  }
  return low;
}

std::vector<double> values_of(const torch::Tensor& position) {
  const torch::Tensor flat = position.detach().flatten().to(torch::kFloat64).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

}  // namespace

BitConfig harden_positions(const BitSpace& space, const CostTable& cost, const std::vector<double>& positions,
                           const std::vector<double>& weights, double budget) {
  const double wanted = budget * cost.reference();
  BitConfig lowest = uniform_config(space, 8, 8);
  for (std::size_t l = 0; l < lowest.size(); ++l) {
    if (!space.layers[l].fixed) lowest[l].weight = lowest[l].activation = space.layers[l].bits.front();
  }
  if (cost.cost(lowest) > wanted)
    throw Error(ExitCode::kUsage, "no configuration at whole width costs as little as " + std::to_string(budget), "budget",
                "give at least " + std::to_string(cost.cost(lowest) / cost.reference()));
  std::map<long, Prefix> front{{0, {0, 0, lowest}}};
  double rest = cost.cost(lowest);  // what the layers still to be set cost at least
  for (std::size_t l = 0; l < lowest.size(); ++l) {
    rest -= cost.layer_cost(static_cast<int>(l), lowest);
    const auto rungs = static_cast<int>(space.layers[l].fixed ? 1 : space.layers[l].bits.size());
    std::map<long, Prefix> next;
    for (const auto& [key, prefix] : front) {
      for (int w = 0; w < rungs; ++w) {
        for (int a = 0; a < rungs; ++a) {
          Prefix longer = prefix;
          if (!space.layers[l].fixed) {
            longer.config[l].weight = space.layers[l].bits[static_cast<std::size_t>(w)];
            longer.config[l].activation = space.layers[l].bits[static_cast<std::size_t>(a)];
            longer.distance += weights[2 * l] * std::pow(w - positions[2 * l], 2) + weights[2 * l + 1] * std::pow(a - positions[2 * l + 1], 2);
          }
          longer.cost += cost.layer_cost(static_cast<int>(l), longer.config);
          if (longer.cost + rest > wanted * (1 + kNearEnough)) continue;
          const auto [place, added] = next.try_emplace(std::lround(longer.cost / (wanted * kFinest)), longer);
          if (!added && longer.distance < place->second.distance) place->second = std::move(longer);
        }
      }
    }
    front = std::move(next);
  }
  const Prefix* best = &front.rbegin()->second;  // the dearest, if nothing is near
  for (const auto& [key, prefix] : front) {
    if (prefix.cost < wanted * (1 - kNearEnough)) continue;
    if (best->cost < wanted * (1 - kNearEnough) || prefix.distance < best->distance) best = &prefix;
  }
  return best->config;
}

BitConfig fit_fracbits(const ModelData& model, const CostTable& cost, std::size_t count, const SampleAt& sample_at,
                       Simulator& simulator, const FracBitsOptions& options) {
  const LadderTensors ladder = ladder_tensors(model, cost);
  const std::int64_t layers = ladder.bits.size(0);
  const torch::Tensor mask = ladder.adaptive.view({-1, 1}), last = (ladder.rungs - 1).view({-1, 1}).expand({-1, 2});
  torch::Tensor position = torch::minimum(
      torch::full({layers, 2}, uniform_position(ladder, options.budget) + options.head_start) * mask, last).contiguous();
  torch::Tensor slope = torch::zeros({layers, 2});  // running mean of the loss's
  const auto hardened = [&] {
    return harden_positions(model.space, cost, values_of(position), values_of(slope.abs() + kLeastSlope), options.budget);
  };
  hardened();  // a budget that cannot be met is told before the work
  position.requires_grad_(true);
  torch::optim::Adam optimizer({position}, torch::optim::AdamOptions(options.learning_rate));
  std::int64_t spent = 0;
  for (std::uint64_t update = 0; spent < options.evaluations; ++update) {
    Random random(options.seed, "fracbits.update", update);
    std::vector<std::size_t> rows;
    for (int i = 0; i < options.batch; ++i) rows.push_back(random.below(count));
    const SimulatedBatch batch = simulated_batch(model.network.input_shape(), sample_at, rows);
    const torch::Tensor all = position.unsqueeze(0).expand({options.batch, -1, -1});
    const torch::Tensor anchors = nearest_anchors(ladder, all);
    const torch::Tensor loss = simulator.loss(batch.pictures, batch.labels, anchors, bits_of(ladder, all)).mean();
    const torch::Tensor relative = cost_of(ladder, anchors, all).mean();
    set_cosine_rate(optimizer, options.learning_rate, static_cast<double>(spent) / static_cast<double>(options.evaluations));
    optimizer.zero_grad();
    loss.backward();
    slope = kSlopeMemory * slope + (1 - kSlopeMemory) * position.grad();
    (options.kappa * (relative / options.budget - 1).abs()).backward();
    optimizer.step();
    {
      const torch::NoGradGuard no_grad;
      position.copy_(torch::minimum(position.clamp_min(0.0), last) * mask);
    }
    spent += options.batch;
    if (options.on_update) options.on_update(hardened, spent);
  }
  return hardened();
}

}  // namespace bitpilot
