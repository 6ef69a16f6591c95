#include "policy/gumbel.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "env/simulator.h"
#include "policy/relaxed_bits.h"
#include "policy/simulated_batch.h"
#include "policy/trainable_mlp.h"

namespace bitpilot {
namespace {

/// bool [L, R]: candidates that the layers really have (fixed layers: their only one).
torch::Tensor candidates(const LadderTensors& ladder) {
  return torch::arange(ladder.bits.size(1)).unsqueeze(0) < ladder.rungs.unsqueeze(1);
}

/// Hard one-hot samples [N, L, R] whose gradient is that of the soft ones.
torch::Tensor hard_samples(const torch::Tensor& logits, const torch::Tensor& allowed, double temperature, Random& random) {
  torch::Tensor noise = torch::empty(logits.sizes());
  float* g = noise.data_ptr<float>();
  for (std::int64_t i = 0; i < noise.numel(); ++i)
    g[i] = static_cast<float>(-std::log(-std::log(std::clamp(random.uniform(), 1e-9, 1 - 1e-9))));
  const torch::Tensor soft = torch::softmax(((logits + noise) / temperature).masked_fill(~allowed.unsqueeze(0), -1e9), 2);
  const torch::Tensor hard = torch::zeros_like(soft).scatter_(2, soft.argmax(2, /*keepdim=*/true), 1.0);
  return hard + soft - soft.detach();
}

}  // namespace

RealMlp fit_gumbel(const ModelData& model, const CostTable& cost, const Rows& states, const SampleAt& sample_at,
                   Simulator& simulator, const GumbelOptions& options) {
  const LadderTensors ladder = ladder_tensors(model, cost);
  const std::int64_t layers = ladder.bits.size(0), most = ladder.bits.size(1);
  const torch::Tensor allowed = candidates(ladder), all = as_tensor(states);
  const torch::Tensor price = ladder.cost.diagonal(0, 2, 3);  // [K, L, R] weights and activations at the same rung
  const torch::Tensor steps = torch::arange(most, torch::kFloat32);
  Random begin(options.seed, "gumbel.start");
  const TrainableMlp controller({states.columns, options.hidden, static_cast<int>(layers * most)}, begin, /*zero_end=*/true);
  torch::optim::Adam optimizer(controller.parameters, torch::optim::AdamOptions(options.learning_rate));
  std::int64_t spent = 0;
  for (std::uint64_t update = 0; spent < options.evaluations; ++update) {
    Random random(options.seed, "gumbel.update", update);
    std::vector<std::size_t> rows;
    std::vector<std::int64_t> index;
    for (int i = 0; i < options.batch; ++i) {
      rows.push_back(random.below(states.count()));
      index.push_back(static_cast<std::int64_t>(rows.back()));
    }
    const torch::Tensor x = all.index_select(0, torch::tensor(index, torch::kInt64));
    const torch::Tensor logits = controller.forward(x).view({options.batch, layers, most});
    const torch::Tensor choice = hard_samples(logits, allowed, options.temperature, random);
    const torch::Tensor position = (choice.detach() * steps).sum(2, /*keepdim=*/true).expand({-1, -1, 2});
    const torch::Tensor anchors = nearest_anchors(ladder, position);
    const SimulatedBatch batch = simulated_batch(model.network.input_shape(), sample_at, rows);
    const torch::Tensor loss =
        simulator.loss(batch.pictures, batch.labels, anchors, choice.unsqueeze(2).expand({-1, -1, 2, -1}));
    const torch::Tensor relative = (choice * price.index_select(0, anchors)).sum({1, 2});
    set_cosine_rate(optimizer, options.learning_rate, static_cast<double>(spent) / static_cast<double>(options.evaluations));
    optimizer.zero_grad();
    (loss + options.lambda * relative).mean().backward();
    torch::nn::utils::clip_grad_norm_(controller.parameters, 1.0);
    optimizer.step();
    spent += options.batch;
    if (options.on_update) options.on_update(controller.plain(), spent);
  }
  return controller.plain();
}

std::vector<BitConfig> gumbel_configs(const ModelData& model, const RealMlp& controller, const Rows& states) {
  const Rows logits = evaluate_network(controller, states);
  const std::size_t layers = model.space.layers.size(), most = static_cast<std::size_t>(logits.columns) / layers;
  std::vector<BitConfig> configs;
  for (std::size_t i = 0; i < logits.count(); ++i) {
    BitConfig config = uniform_config(model.space, 8, 8);
    for (std::size_t l = 0; l < layers; ++l) {
      const LayerSpace& space = model.space.layers[l];
      if (space.fixed) continue;
      const auto own = logits.row(i).subspan(l * most, space.bits.size());
      config[l].weight = config[l].activation = space.bits[static_cast<std::size_t>(std::max_element(own.begin(), own.end()) - own.begin())];
    }
    configs.push_back(std::move(config));
  }
  return configs;
}

}  // namespace bitpilot
