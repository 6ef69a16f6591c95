#include "policy/offset_learner.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "env/reward.h"
#include "env/reward_model.h"
#include "env/simulator.h"
#include "policy/budget_dual.h"
#include "policy/export.h"
#include "policy/offset_net.h"
#include "policy/policy_sweep.h"
#include "policy/quality_estimator.h"
#include "policy/relaxed_bits.h"
#include "policy/simulated_batch.h"
#include "runtime/adaptive.h"
#include "runtime/core/random.h"
#include "runtime/policy_head.h"

namespace bitpilot {
namespace {

constexpr double kLargestCostError = 0.01;  // of sampled bits against their means

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
    if (inputs_.simulator) {
      result.other_teacher = learned.trusted() ? "simulator" : "reward_model";
      optimise(learned.trusted() ? nullptr : &learned);
      result.other_gain = gain_of(offset_network());
      net_ = OffsetNet(std::ssize(sweep_.embedding(0)) + 1, layers_, options_.seed);
      log_.clear();
    }
    if (result.teacher != "none") optimise(learned.trusted() ? &learned : nullptr);
    export_spreads(result);
    if (result.teacher != "none") {
      const IntegerMlp offset = offset_network();
      result.reward_gain = gain_of(offset);
      result.kept = result.reward_gain.low > 0;
      if (inputs_.simulator) compare_relaxed(offset, result);
      if (result.kept) p_.offset = offset;
    }
    model_.policy = pack_policy(p_);
    result.log = to_json(result);
    return result;
  }

 private:
  nlohmann::json to_json(const OffsetResult& result) const {
    const auto gain = [](const Interval& interval) {
      return nlohmann::json{{"mean", interval.mean}, {"ci95", {interval.low, interval.high}}};
    };
    nlohmann::json log{{"teacher", result.teacher},
                       {"rank_correlation", result.rank_correlation},
                       {"gate", options_.gate},
                       {"kept", result.kept},
                       {"reward_gain", gain(result.reward_gain)},
                       {"sampled_cost_ratio", result.sampled_cost_ratio},
                       {"steps", log_}};
    if (!result.other_teacher.empty()) log["other_teacher"] = {{"teacher", result.other_teacher}, {"reward_gain", gain(result.other_gain)}};
    if (!std::isnan(result.hard_accuracy)) log["relaxed"] = {{"hard_accuracy", result.hard_accuracy}, {"relaxed_accuracy", result.relaxed_accuracy}};
    return log;
  }

  double draw_lambda(Random& random) const {
    return std::exp(random.uniform(std::log(options_.lambda_low), std::log(options_.lambda_high)));
  }
  int first_anchor(std::size_t row, double lambda) const {
    return sweep_.head().first(sweep_.observation(row), lambda, scratch_).anchor;
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
                                  options_.anti_collapse * fade * rung_information(options_.family, ladder_, centre, net_.spread());
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

  IntegerMlp offset_network() const {
    Rows inputs{static_cast<int>(sweep_.embedding(0).size()) + 1, {}};
    for (std::size_t i = 0; i < std::min<std::size_t>(2000, sweep_.size()); ++i) {
      inputs.values.insert(inputs.values.end(), sweep_.embedding(i).begin(), sweep_.embedding(i).end());
      inputs.values.push_back(static_cast<float>(lambda_code(model_.default_lambda, p_.lambda_low, p_.lambda_high)) *
                              kPolicyInputStep);
    }
    return to_integer(net_.real(), inputs);
  }

  std::shared_ptr<const Model> model_with(const IntegerMlp& offset) const {
    PolicyParameters p = p_;
    p.offset = offset;
    ModelData moved = model_;
    moved.policy = pack_policy(p);
    return std::make_shared<const Model>(std::move(moved));
  }

  /// Rows of validation that are executed, evenly over it.
  std::vector<std::size_t> checked_rows() const {
    const std::size_t size = inputs_.validation->size(),
                      count = std::min<std::size_t>(static_cast<std::size_t>(options_.check_pictures), size);
    std::vector<std::size_t> rows;
    for (std::size_t n = 0; n < count; ++n) rows.push_back(n * size / count);
    return rows;
  }

  /// Reward with minus without these offsets on the same validation pictures, in integers.
  Interval gain_of(const IntegerMlp& offset) const {
    AdaptiveSession with_offsets(model_with(offset)), plain(model_with({}));
    std::vector<double> difference;
    std::vector<std::uint32_t> group;
    for (const std::size_t row : checked_rows()) {
      const Sample sample = inputs_.validation_at(row);
      const DecisionRule rule{std::nullopt, model_.default_lambda};
      difference.push_back(reward(with_offsets.decide(sample.prepared, rule), sample.label) -
                           reward(plain.decide(sample.prepared, rule), sample.label));
      group.push_back(inputs_.validation->index[row]);
    }
    return paired_bootstrap(difference, group, options_.seed);
  }

  /// Whether fractional bits flatter: the simulator's class is the label under which its loss is least.
  void compare_relaxed(const IntegerMlp& offset, OffsetResult& result) const {
    const torch::NoGradGuard no_grad;
    constexpr std::size_t kBatch = 64;
    const auto model = model_with(offset);
    const PolicyHead head(model->data());
    PolicyScratch scratch;
    const PolicySweep observed(model->data(), *inputs_.validation, 0);
    Session session(model);
    const std::vector<std::size_t> rows = checked_rows();
    const torch::Tensor mask = ladder_.adaptive.view({1, -1, 1});
    double hard = 0, relaxed = 0;
    for (std::size_t at = 0; at < rows.size(); at += kBatch) {
      const std::vector<std::size_t> part(rows.begin() + static_cast<std::ptrdiff_t>(at),
                                          rows.begin() + static_cast<std::ptrdiff_t>(std::min(rows.size(), at + kBatch)));
      std::vector<float> input;
      std::vector<std::int64_t> anchors;
      for (const std::size_t row : part) {
        const Sample sample = inputs_.validation_at(row);
        const FirstLook& look = head.first(observed.observation(row), model_.default_lambda, scratch);
        session.start(sample.prepared.codes);
        const auto scores = session.look(look.config);
        hard += std::max_element(scores.begin(), scores.end()) - scores.begin() == sample.label ? 1 : 0;
        anchors.push_back(look.anchor);
        input.insert(input.end(), observed.embedding(row).begin(), observed.embedding(row).end());
        input.push_back(static_cast<float>(lambda_code(model_.default_lambda, p_.lambda_low, p_.lambda_high)) * kPolicyInputStep);
      }
      const torch::Tensor index = torch::tensor(anchors, torch::kInt64);
      const torch::Tensor centre = ladder_.path.index_select(0, index) +
                                   net_.offsets(torch::tensor(input).view({std::ssize(part), -1})) * mask;
      const torch::Tensor last = (ladder_.rungs - 1).view({1, -1, 1});
      const torch::Tensor bits = bits_of(ladder_, torch::minimum(torch::clamp_min(centre, 0.0), last));
      const SimulatedBatch batch = simulated_batch(model_.network.input_shape(), inputs_.validation_at, part);
      std::vector<torch::Tensor> losses;
      for (int label = 0; label < model_.network.classes(); ++label)
        losses.push_back(inputs_.simulator->loss(batch.pictures, torch::full_like(batch.labels, label), index, bits));
      relaxed += (torch::stack(losses, 1).argmin(1) == batch.labels).sum().item<double>();
    }
    result.hard_accuracy = hard / static_cast<double>(rows.size());
    result.relaxed_accuracy = relaxed / static_cast<double>(rows.size());
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
  mutable PolicyScratch scratch_;  // of first_anchor: one thread asks, for every picture of every batch
  nlohmann::json log_ = nlohmann::json::array();
};

}  // namespace

OffsetResult learn_offsets(ModelData& model, const OffsetInputs& inputs, const OffsetOptions& options) {
  return OffsetLearner(model, inputs, options).run();
}

}  // namespace bitpilot
