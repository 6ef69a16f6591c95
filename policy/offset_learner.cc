#include "policy/offset_learner.h"

#include <torch/torch.h>

#include <cmath>

#include "env/reward.h"
#include "env/reward_model.h"
#include "env/simulator.h"
#include "policy/budget_dual.h"
#include "policy/export.h"
#include "policy/policy_sweep.h"
#include "policy/quality_estimator.h"
#include "policy/relaxed_bits.h"
#include "policy/simulated_batch.h"
#include "runtime/adaptive.h"
#include "runtime/core/random.h"

namespace bitpilot {
namespace {

constexpr double kLeastSpread = 0.05;
constexpr double kLargestCostError = 0.01;  // of sampled bits against their means
constexpr int kHidden = 32;

torch::Tensor random_tensor(std::vector<std::int64_t> shape, Random& random) {
  torch::Tensor u = torch::empty(shape);
  float* data = u.data_ptr<float>();
  for (std::int64_t i = 0; i < u.numel(); ++i) data[i] = static_cast<float>(random.uniform());
  return u;
}

/// Offsets network [e, lambda] -> [L, 2] in ladder steps, and one spread per layer and tensor.
struct OffsetNet {
  std::vector<torch::Tensor> parameters;
  torch::Tensor raw_spread;

  OffsetNet(std::int64_t inputs, std::int64_t layers, std::uint64_t seed) {
    Random random(seed, "offset net");
    torch::Tensor first =
        (random_tensor({kHidden, inputs}, random) * 2 - 1) * std::sqrt(3.0 / static_cast<double>(inputs));
    parameters = {first.requires_grad_(true), torch::zeros({kHidden}).requires_grad_(true),
                  torch::zeros({2 * layers, kHidden}).requires_grad_(true),
                  torch::zeros({2 * layers}).requires_grad_(true)};
    raw_spread = torch::full({layers, 2}, -1.5).requires_grad_(true);
  }
  torch::Tensor offsets(const torch::Tensor& x) const {
    const torch::Tensor hidden = torch::relu(torch::addmm(parameters[1], x, parameters[0].t()));
    return torch::addmm(parameters[3], hidden, parameters[2].t()).view({x.size(0), -1, 2});
  }
  torch::Tensor spread() const { return torch::softplus(raw_spread) + kLeastSpread; }
  RealMlp real() const {
    RealMlp mlp;
    for (int i = 0; i < 4; i += 2) {
      const torch::Tensor w = parameters[static_cast<std::size_t>(i)].detach().contiguous(),
                          b = parameters[static_cast<std::size_t>(i) + 1].detach().contiguous();
      mlp.push_back({static_cast<int>(w.size(1)),
                     static_cast<int>(w.size(0)),
                     {w.data_ptr<float>(), w.data_ptr<float>() + w.numel()},
                     {b.data_ptr<float>(), b.data_ptr<float>() + b.numel()}});
    }
    return mlp;
  }
};

/// One learn_offsets call.
class OffsetLearner {
 public:
  OffsetLearner(ModelData& model, const OffsetInputs& inputs, const OffsetOptions& options)
      : model_(model),
        inputs_(inputs),
        options_(options),
        cost_(bops_table(model.network, model.space)),
        ladder_(ladder_tensors(model, cost_)),
        sweep_(model, *inputs.train, 0),
        p_(unpack_policy(model)),
        layers_(model.network.layer_count()),
        net_(std::ssize(sweep_.embedding(0)) + 1, layers_, options.seed) {}

  OffsetResult run() {
    OffsetResult result;
    RewardModelOptions reward;
    reward.seed = options_.seed;
    reward.gate = options_.gate;
    RewardModel learned(static_cast<int>(sweep_.embedding(0).size()), static_cast<int>(layers_), reward);
    learned.fit(roll_out_bits());
    result.rank_correlation = learned.rank_correlation();
    if (learned.trusted()) result.teacher = "reward_model";
    if (!learned.trusted() && inputs_.simulator) result.teacher = "simulator";
    if (result.teacher != "none") optimise(result.teacher == "reward_model" ? &learned : nullptr);
    export_spreads(result);
    if (result.teacher != "none") judge(result);
    model_.policy = pack_policy(p_);
    result.log = {{"teacher", result.teacher},
                  {"rank_correlation", result.rank_correlation},
                  {"kept", result.kept},
                  {"reward_gain",
                   {{"mean", result.reward_gain.mean}, {"ci95", {result.reward_gain.low, result.reward_gain.high}}}},
                  {"sampled_cost_ratio", result.sampled_cost_ratio},
                  {"steps", log_}};
    return result;
  }

 private:
  double draw_lambda(Random& random) const {
    return std::exp(random.uniform(std::log(options_.lambda_low), std::log(options_.lambda_high)));
  }
  int first_anchor(std::size_t row, double lambda) const {
    return sweep_.head().first_anchor(sweep_.observation(row), lambda);
  }

  BitConfig perturbed(const BitConfig& anchor, Random& random) const {
    BitConfig config = anchor;
    for (std::size_t l = 0; l < config.size(); ++l) {
      const auto& ladder = model_.space.layers[l].bits;
      if (model_.space.layers[l].fixed) continue;
      for (int* bits : {&config[l].weight, &config[l].activation}) {
        if (random.uniform() > 0.3) continue;
        const auto at =
            std::lower_bound(ladder.begin(), ladder.end(), *bits) - ladder.begin() + (random.uniform() < 0.5 ? -1 : 1);
        *bits = ladder[static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(at, 0, std::ssize(ladder) - 1))];
      }
    }
    return config;
  }

  /// Episodes around the anchors that the policy looks at first, executed by the integer engine.
  Rollouts roll_out_bits() {
    Session session(inputs_.model);
    std::vector<float> embedding, bits, width, loss;
    std::vector<std::int64_t> picture;
    const std::size_t count = std::min<std::size_t>(static_cast<std::size_t>(options_.rollout_pictures), sweep_.size());
    for (std::size_t n = 0; n < count; ++n) {
      const std::size_t row = n * sweep_.size() / count;
      Random random(options_.seed, "offset rollouts", row);
      const int anchor = first_anchor(row, draw_lambda(random));
      const Sample sample = inputs_.train_at(row);
      session.start(sample.prepared.codes);
      for (int c = 0; c < options_.configs_per_picture; ++c) {
        const Anchor& from = model_.anchors[static_cast<std::size_t>(anchor)];
        const BitConfig config = c == 0 ? from.config : perturbed(from.config, random);
        loss.push_back(static_cast<float>(task_loss(session.look(config), from.temperature, sample.label)));
        embedding.insert(embedding.end(), sweep_.embedding(row).begin(), sweep_.embedding(row).end());
        for (std::size_t l = 0; l < config.size(); ++l) {
          bits.push_back(static_cast<float>(config[l].weight));
          bits.push_back(static_cast<float>(config[l].activation));
          width.push_back(static_cast<float>(config[l].active_blocks) /
                          static_cast<float>(model_.space.layers[l].blocks));
        }
        picture.push_back(static_cast<std::int64_t>(n));
      }
    }
    const auto rows = static_cast<std::int64_t>(loss.size());
    return {torch::tensor(embedding).view({rows, -1}), torch::tensor(bits).view({rows, layers_, 2}),
            torch::tensor(width).view({rows, layers_}), torch::tensor(loss), torch::tensor(picture, torch::kInt64)};
  }

  struct Batch {
    torch::Tensor embedding, input, anchors, lambda;
    std::vector<std::size_t> rows;
  };
  Batch draw(int step, int size) const {
    Random random(options_.seed, "offset batch", static_cast<std::uint64_t>(step));
    std::vector<float> input, lambdas;
    std::vector<std::int64_t> anchors;
    Batch batch;
    for (int i = 0; i < size; ++i) {
      const std::size_t row = random.below(sweep_.size());
      const double lambda = draw_lambda(random);
      batch.rows.push_back(row);
      input.insert(input.end(), sweep_.embedding(row).begin(), sweep_.embedding(row).end());
      input.push_back(static_cast<float>(lambda_code(lambda, p_.lambda_low, p_.lambda_high)) * kPolicyInputStep);
      lambdas.push_back(static_cast<float>(lambda));
      anchors.push_back(first_anchor(row, lambda));
    }
    batch.input = torch::tensor(input).view({size, -1});
    batch.embedding = batch.input.slice(1, 0, batch.input.size(1) - 1);
    batch.anchors = torch::tensor(anchors, torch::kInt64);
    batch.lambda = torch::tensor(lambdas);
    return batch;
  }

  torch::Tensor simulate(const Batch& batch, const torch::Tensor& bits) const {
    const SimulatedBatch simulated = simulated_batch(model_.network.input_shape(), inputs_.train_at, batch.rows);
    return torch::clamp_max(inputs_.simulator->loss(simulated.pictures, simulated.labels, batch.anchors, bits), kClippedLoss);
  }

  void optimise(const RewardModel* learned) {
    std::vector<torch::Tensor> parameters = net_.parameters;
    parameters.push_back(net_.raw_spread);
    torch::optim::Adam optimizer(parameters, torch::optim::AdamOptions(options_.learning_rate));
    const int size = learned ? options_.batch : std::min(options_.batch, 64);
    const torch::Tensor mask = ladder_.adaptive.view({1, -1, 1});
    BudgetDual dual(1.0, 0.0);
    for (int step = 0; step < options_.steps; ++step) {
      const Batch batch = draw(step, size);
      Random random(options_.seed, "offset noise", static_cast<std::uint64_t>(step));
      const torch::Tensor path = ladder_.path.index_select(0, batch.anchors);
      const torch::Tensor centre = path + net_.offsets(batch.input) * mask;
      const torch::Tensor u = random_tensor({size, layers_, 2}, random);
      const torch::Tensor position = sample_positions(options_.family, ladder_, centre, net_.spread(), u);
      const torch::Tensor bits = bits_of(ladder_, position), cost = cost_of(ladder_, batch.anchors, position);
      torch::Tensor loss;
      if (learned) {
        const auto predicted = learned->predict(batch.embedding, bits, ladder_.width.index_select(0, batch.anchors));
        loss = predicted.mean + options_.pessimism * predicted.deviation;
      } else {
        loss = simulate(batch, bits);
      }
      const torch::Tensor anchor_cost = cost_of(ladder_, batch.anchors, path).detach();
      const torch::Tensor ratio = cost.mean() / anchor_cost.mean();
      const double fade = 1.0 - static_cast<double>(step) / options_.steps;
      const torch::Tensor total = (loss + batch.lambda * cost).mean() + dual.price() * ratio -
                                  options_.anti_collapse * fade * rung_information(ladder_, centre, net_.spread());
      optimizer.zero_grad();
      total.backward();
      torch::nn::utils::clip_grad_norm_(parameters, 1.0);
      optimizer.step();
      dual.observe(ratio.item<double>());
      if (step % 50 == 0 || step + 1 == options_.steps)
        log_.push_back({{"step", step},
                        {"loss", loss.mean().item<double>()},
                        {"cost_ratio", ratio.item<double>()},
                        {"price", dual.price()}});
    }
  }

  /// Spreads in bits around every anchor; narrowed until drawn bits cost what their means say.
  void export_spreads(OffsetResult& result) {
    const torch::NoGradGuard no_grad;
    torch::Tensor spread = net_.spread().clone();
    const std::int64_t anchors = ladder_.path.size(0), draws = 512;
    const torch::Tensor mask = ladder_.adaptive.view({1, -1, 1});
    for (int halving = 0; halving < 8; ++halving) {
      double worst = 0;
      for (std::int64_t k = 0; k < anchors; ++k) {
        Random random(options_.seed, "offset spread", static_cast<std::uint64_t>(k));
        const torch::Tensor path = ladder_.path[k].unsqueeze(0).expand({draws, -1, -1});
        const torch::Tensor index = torch::full({draws}, k, torch::kInt64);
        const torch::Tensor drawn =
            sample_positions(options_.family, ladder_, path, spread, random_tensor({draws, layers_, 2}, random));
        const torch::Tensor sampled = torch::where(mask > 0, drawn, path);
        const double ratio = cost_of(ladder_, index, sampled).mean().item<double>() /
                             cost_of(ladder_, index, path).mean().item<double>();
        if (std::abs(ratio - 1) >= std::abs(worst)) {
          worst = ratio - 1;
          result.sampled_cost_ratio = ratio;
        }
      }
      if (std::abs(worst) <= kLargestCostError) break;
      spread = spread * 0.5;
    }
    p_.family = bit_family_name(options_.family);
    for (std::size_t k = 0; k < model_.anchors.size(); ++k) {
      for (std::int64_t l = 0; l < layers_; ++l) {
        for (std::int64_t tensor = 0; tensor < 2; ++tensor) {
          const LayerSpace& space = model_.space.layers[static_cast<std::size_t>(l)];
          const auto rungs = static_cast<int>(space.bits.size());
          const double position = ladder_.path[static_cast<std::int64_t>(k)][l][tensor].item<double>();
          const BitDistribution distribution =
              BitDistribution::at_position(options_.family, position, rungs, spread[l][tensor].item<double>());
          p_.spread[(k * static_cast<std::size_t>(layers_) + static_cast<std::size_t>(l)) * 2 +
                    static_cast<std::size_t>(tensor)] =
              space.fixed ? 0.0F : static_cast<float>(bit_moments(distribution, space.bits).deviation);
        }
      }
    }
  }

  double reward(const Decision& decision, int label) const {
    const int anchor = decision.looks.back().anchor;
    const float temperature = anchor >= 0 ? model_.anchors[static_cast<std::size_t>(anchor)].temperature : 1.0F;
    return episode_return(task_loss(decision.scores, temperature, label), model_.default_lambda, decision.relative);
  }

  /// Both policies on the same validation pictures, in integers; the offsets stay only if they earn it.
  void judge(OffsetResult& result) {
    Rows inputs{static_cast<int>(sweep_.embedding(0).size()) + 1, {}};
    for (std::size_t i = 0; i < std::min<std::size_t>(2000, sweep_.size()); ++i) {
      inputs.values.insert(inputs.values.end(), sweep_.embedding(i).begin(), sweep_.embedding(i).end());
      inputs.values.push_back(static_cast<float>(lambda_code(model_.default_lambda, p_.lambda_low, p_.lambda_high)) *
                              kPolicyInputStep);
    }
    const PolicyParameters without = p_;
    p_.offset = to_integer(net_.real(), inputs);
    ModelData moved = model_, still = model_;
    moved.policy = pack_policy(p_);
    still.policy = pack_policy(without);
    AdaptiveSession with_offsets(std::make_shared<Model>(std::move(moved))),
        plain(std::make_shared<Model>(std::move(still)));
    const std::size_t count =
        std::min<std::size_t>(static_cast<std::size_t>(options_.check_pictures), inputs_.validation->size());
    std::vector<double> difference;
    std::vector<std::uint32_t> group;
    for (std::size_t n = 0; n < count; ++n) {
      const std::size_t row = n * inputs_.validation->size() / count;
      const Sample sample = inputs_.validation_at(row);
      const DecisionRule rule{std::nullopt, model_.default_lambda};
      difference.push_back(reward(with_offsets.decide(sample.prepared, rule), sample.label) -
                           reward(plain.decide(sample.prepared, rule), sample.label));
      group.push_back(inputs_.validation->index[row]);
    }
    result.reward_gain = paired_bootstrap(difference, group, options_.seed);
    result.kept = result.reward_gain.low > 0;
    if (!result.kept) p_ = without;
  }

  ModelData& model_;
  const OffsetInputs& inputs_;
  const OffsetOptions& options_;
  CostTable cost_;
  LadderTensors ladder_;
  PolicySweep sweep_;
  PolicyParameters p_;
  std::int64_t layers_;
  OffsetNet net_;
  nlohmann::json log_ = nlohmann::json::array();
};

}  // namespace

OffsetResult learn_offsets(ModelData& model, const OffsetInputs& inputs, const OffsetOptions& options) {
  return OffsetLearner(model, inputs, options).run();
}

}  // namespace bitpilot
