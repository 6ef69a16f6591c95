#include "policy/offset_learner.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "env/simulator.h"
#include "experiments/network_simulator.h"
#include "quant/export.h"
#include "quant/training_loop.h"
#include "runtime/adaptive.h"
#include "runtime/core/random.h"
#include "runtime/random_policy.h"
#include "tests/support/sample_model.h"
#include "tests/support/toy_training.h"

using namespace bitpilot;
using bitpilot::testing::sample_model;
using bitpilot::testing::sample_network;
using bitpilot::testing::SampleOptions;

namespace {

constexpr double kFaint = 0.3;   // brightness of the band that tells the class: some pictures stay hard
constexpr std::size_t kU4 = 1;  // of sample_model's anchors u2, u4, u8, half8

/// A simulator that knows one thing: what a bit of every weight and activation is worth.
class BitsAreWorth : public Simulator {
 public:
  explicit BitsAreWorth(double worth) : worth_(worth) {}
  torch::Tensor loss(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&, const torch::Tensor& bits) override {
    return 2.0 - worth_ * bits.mean({1, 2});
  }

 private:
  double worth_;
};

/// The simulator of a network; counts what it is asked for while nothing is learned.
class Watched : public Simulator {
 public:
  Watched(QuantizedNetwork* supernet, const std::vector<int>& ladder) : network_(supernet), ladder_(ladder) {}
  torch::Tensor loss(const torch::Tensor& pictures, const torch::Tensor& labels, const torch::Tensor& anchors,
                     const torch::Tensor& bits) override {
    if (!torch::GradMode::is_enabled()) {
      torch::Tensor away = torch::full_like(bits, 8);
      for (const int rung : ladder_) away = torch::minimum(away, (bits - rung).abs());
      asked_ += bits.numel();
      fractional_ += (away > 0.1).sum().item<std::int64_t>();
    }
    return network_.loss(pictures, labels, anchors, bits);
  }
  /// Share of bits that are a tenth of a bit and more away from every rung.
  double fractional() const { return static_cast<double>(fractional_) / static_cast<double>(std::max<std::int64_t>(1, asked_)); }

 private:
  NetworkSimulator network_;
  std::vector<int> ladder_;
  std::int64_t asked_ = 0, fractional_ = 0;
};

/// A policy whose every look is the first one at u4, for a network of random weights on random pictures: from there bits may go both ways.
struct Ground {
  ModelData model;
  OutcomeTable table;
  SampleAt at;

  /// `by_network`: the label is what u8 says, so that bits matter to the loss; else it is drawn, and they do not.
  explicit Ground(bool by_network) {
    SampleOptions options;
    options.policy = false;
    model = sample_model(sample_network(), options);
    model.ranges.clear();
    model.statistics.clear();
    PolicyParameters p = random_policy(model);
    p.first_weight = p.stop_weight = 0;
    p.first_residual = {};
    p.stop_residual.assign(p.anchors(), {});
    for (auto& row : p.first_allowed) {
      std::fill(row.begin(), row.end(), 0);
      row[kU4] = 1;
    }
    for (auto& row : p.pair_allowed) std::fill(row.begin(), row.end(), 0);
    model.policy = pack_policy(p);
    model.default_lambda = 4;  // cost outweighs what chance does to the loss
    const auto shared = std::make_shared<const Model>(model);
    at = [shared, by_network](std::size_t i) {
      Random random(8, "offset picture", i);
      Image image(12, 12, 1);
      for (auto& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.below(256));
      Sample sample;
      sample.prepared = preprocess(image.view(), {1, 12, 12});
      sample.label = static_cast<int>(random.below(5));
      if (by_network) {
        Session session(shared);
        session.start(sample.prepared.codes);
        const auto scores = session.look_anchor(2);
        sample.label = static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
      }
      sample.index = i;
      sample.family = "clean";
      return sample;
    };
    table = roll_out(shared, 240, at, 2);
  }

  OffsetInputs inputs(Simulator* simulator) const {
    OffsetInputs inputs;
    inputs.model = std::make_shared<const Model>(model);
    inputs.train = inputs.validation = &table;
    inputs.train_at = inputs.validation_at = at;
    inputs.simulator = simulator;
    return inputs;
  }
};

OffsetOptions quick(double gate) {
  OffsetOptions options;
  options.rollout_pictures = 120;
  options.check_pictures = 120;
  options.steps = 60;
  options.batch = 32;
  options.learning_rate = 2e-2;
  options.gate = gate;
  return options;
}

/// The spread that the model file holds, in bits.
double exported_spread(const ModelData& model, std::size_t anchor, int layer, int tensor) {
  const PolicyParameters p = unpack_policy(model);
  return p.spread[(anchor * static_cast<std::size_t>(model.network.layer_count()) + static_cast<std::size_t>(layer)) * 2 + static_cast<std::size_t>(tensor)];
}

}  // namespace

TEST_CASE("policy/offset_learner: bits that bring nothing are given up, the cost falls, and the gain keeps the offsets") {
  const Ground ground(/*by_network=*/false);
  BitsAreWorth nothing(0);
  ModelData model = ground.model;
  const OffsetResult result = learn_offsets(model, ground.inputs(&nothing), quick(/*gate=*/2));
  CHECK(result.teacher == "simulator");
  CHECK(result.kept);
  CHECK(result.reward_gain.low > 0);
  REQUIRE_FALSE(unpack_policy(model).offset.empty());
  AdaptiveSession with(std::make_shared<const Model>(model)), without(std::make_shared<const Model>(ground.model));
  for (std::size_t i = 0; i < 20; ++i) {
    const DecisionRule rule{std::nullopt, model.default_lambda};
    CHECK(with.decide(ground.at(i).prepared, rule).relative < without.decide(ground.at(i).prepared, rule).relative);
  }
  ModelData again = ground.model;
  learn_offsets(again, ground.inputs(&nothing), quick(2));
  CHECK((unpack_policy(again).offset == unpack_policy(model).offset));
}

TEST_CASE("policy/offset_learner: offsets that a wrong teacher praises are judged by integers on validation and dropped") {
  const Ground ground(/*by_network=*/false);
  BitsAreWorth much(3);
  ModelData model = ground.model;
  const OffsetResult result = learn_offsets(model, ground.inputs(&much), quick(/*gate=*/2));
  CHECK_FALSE(result.kept);
  CHECK(result.reward_gain.mean < 0);  // dearer, and no better
  CHECK(unpack_policy(model).offset.empty());
}

TEST_CASE("policy/offset_learner: the gate alone decides who teaches, and what it decides is on record") {
  const Ground ground(/*by_network=*/true);
  BitsAreWorth little(0.02);
  ModelData open = ground.model, shut = ground.model;
  const OffsetResult learned = learn_offsets(open, ground.inputs(&little), quick(/*gate=*/-1)),
                     simulated = learn_offsets(shut, ground.inputs(&little), quick(/*gate=*/2));
  CHECK(learned.teacher == "reward_model");
  CHECK(simulated.teacher == "simulator");
  CHECK(learned.rank_correlation == simulated.rank_correlation);
  CHECK(learned.rank_correlation > 0.1);  // fewer bits, further from what u8 says
  // Either one's record holds what the other teacher would have brought: removing the reward model is a figure, not a belief.
  CHECK(learned.reward_gain.mean == simulated.other_gain.mean);
  CHECK(simulated.reward_gain.mean == learned.other_gain.mean);
  CHECK(learned.reward_gain.mean != simulated.reward_gain.mean);
  ModelData alone = ground.model;
  const OffsetResult nobody = learn_offsets(alone, ground.inputs(nullptr), quick(2));
  CHECK(nobody.teacher == "none");
  CHECK_FALSE(nobody.kept);
  CHECK(unpack_policy(alone).offset.empty());
}

TEST_CASE("policy/offset_learner: bits drawn with the exported spreads cost what their means say within 1 %, for both families") {
  const Ground ground(/*by_network=*/false);
  const CostTable bops = bops_table(ground.model.network, ground.model.space);
  for (const BitFamily family : {BitFamily::kLogistic, BitFamily::kTruncatedNormal}) {
    ModelData model = ground.model;
    OffsetOptions options = quick(2);
    options.family = family;
    options.steps = 0;
    const OffsetResult result = learn_offsets(model, ground.inputs(nullptr), options);
    INFO(std::string(bit_family_name(family)));
    CHECK(unpack_policy(model).family == bit_family_name(family));
    CHECK(std::abs(result.sampled_cost_ratio - 1) <= 0.01);
    for (std::size_t k = 0; k < model.anchors.size(); ++k) {
      const BitConfig& config = model.anchors[k].config;
      double drawn = 0, said = 0, widest = 0;
      for (int l = 0; l < model.network.layer_count(); ++l) {
        const LayerSpace& space = model.space.layers[static_cast<std::size_t>(l)];
        const double cost = bops.layer_cost(l, config);
        said += cost;
        double factor = 1;  // of bits drawn over bits meant, of weights and activations, which are drawn apart
        for (int tensor = 0; tensor < 2 && !space.fixed; ++tensor) {
          const int bits = tensor == 0 ? config[static_cast<std::size_t>(l)].weight : config[static_cast<std::size_t>(l)].activation;
          const auto rung = std::lower_bound(space.bits.begin(), space.bits.end(), bits) - space.bits.begin();
          const double wanted = exported_spread(model, k, l, tensor);
          widest = std::max(widest, wanted);
          double low = 1e-6, high = 2;  // the distribution whose bits deviate as much as the file says
          const auto at = [&](double spread) {
            return bit_moments(BitDistribution::at_position(family, static_cast<double>(rung), static_cast<int>(space.bits.size()), spread), space.bits);
          };
          for (int step = 0; step < 40; ++step) (at((low + high) / 2).deviation < wanted ? low : high) = (low + high) / 2;
          factor *= at(low).mean / bits;
        }
        drawn += cost * factor;
      }
      INFO(model.anchors[k].name);
      CHECK(drawn / said == doctest::Approx(1).epsilon(0.013));  // 1 % and what 512 draws leave open
      CHECK(widest > 0.005);                                     // there is a spread at all
    }
  }
}

namespace {

/// Hard against relaxed accuracy of learned means, on a toy network whose supernet knows uniform bits alone.
struct Relaxed {
  OffsetResult result;
  double fractional = 0;  ///< share of the bits behind relaxed_accuracy that lie between two rungs
};

constexpr int kToyPictures = 3000;  // memory lies otherwise in every process and sums round otherwise: on 1,000 the accuracies differ by up to 0.003

Relaxed relaxed_on_toy(const std::vector<int>& ladder, int training_steps, int offset_steps) {
  at::set_num_threads(1);  // as bitpilot-train
  const Network network = sample_network();
  const BitSpace space = make_bit_space(network, ladder);
  std::vector<PathSpec> paths;
  for (const int bits : ladder) paths.push_back({"u" + std::to_string(bits), uniform_config(space, bits, bits)});
  QuantizedNetwork float_network(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 3);
  QuantizedNetwork supernet(network, space, paths, /*quantized=*/true, 3);
  const auto train = [training_steps](QuantizedNetwork* trained, QuantizedNetwork* teacher) {
    TrainingOptions options;
    options.learning_rate = 3e-3;
    TrainingLoop loop(trained, teacher, training_steps, options);
    for (int i = 0; i < training_steps; ++i) {
      TrainingBatch batch = testing::toy_pictures(50, static_cast<std::uint64_t>(100 + i), kFaint);
      batch.src = batch.src / 1.5;
      loop.step(batch, batch);
    }
  };
  // Pictures as the runtime gets them: codes of 8 bits in 0..1, without stretching.
  const auto at = [](std::size_t i) {
    const TrainingBatch one = testing::toy_pictures(5, 1000 + i / 5, kFaint);
    Image image(12, 12, 1);
    const torch::Tensor codes = (one.src[static_cast<std::int64_t>(i % 5)] * (255 / 1.5)).round().contiguous();
    for (std::size_t pixel = 0; pixel < image.pixels.size(); ++pixel)
      image.pixels[pixel] = static_cast<std::uint8_t>(codes.data_ptr<float>()[pixel]);
    Sample sample;
    sample.prepared = preprocess(image.view(), {1, 12, 12}, /*stretch=*/false);
    sample.label = static_cast<int>(i % 5);
    sample.index = i;
    sample.family = "clean";
    return sample;
  };
  train(&float_network, nullptr);
  const CalibrationBatches batches = [](const std::function<void(const torch::Tensor&)>& use) {
    for (std::uint64_t b = 0; b < 4; ++b) use(testing::toy_pictures(50, 500 + b, kFaint).src / 1.5);
  };
  supernet.start_from(float_network, testing::toy_pictures(50, 500, kFaint).src / 1.5);
  train(&supernet, &float_network);
  recalibrate(&supernet, batches);
  ModelData model = export_model(&supernet, batches);
  for (int c = 0; c < 5; ++c) model.labels.push_back(std::to_string(c));
  model.ranges.clear();
  model.statistics.clear();
  PolicyParameters p = random_policy(model);
  p.offset = {};
  model.policy = pack_policy(p);
  model.default_lambda = 0.3;
  const auto shared = std::make_shared<const Model>(model);
  const OutcomeTable table = roll_out(shared, kToyPictures, at, 2);
  Watched simulator(&supernet, ladder);
  OffsetInputs inputs{shared, &table, at, &table, at, &simulator};
  OffsetOptions options = quick(2);
  options.check_pictures = kToyPictures;
  options.steps = offset_steps;
  return {learn_offsets(model, inputs, options), simulator.fractional()};
}

}  // namespace

TEST_CASE("policy/offset_learner: the relaxed forward says at fractional bits what the integers say at the nearest rungs") {
  const Relaxed toy = relaxed_on_toy({4, 6, 8}, 60, 60);
  INFO("hard ", toy.result.hard_accuracy, ", relaxed ", toy.result.relaxed_accuracy, ", between rungs ", toy.fractional);
  CHECK(toy.fractional > 0);  // the means did leave the rungs; how far depends on the processor's arithmetic
  CHECK(toy.result.hard_accuracy > 0.95);
  CHECK(std::abs(toy.result.hard_accuracy - toy.result.relaxed_accuracy) <= 0.005);
}
