#include "runtime/policy_head.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "runtime/core/error.h"
#include "runtime/fixed_math.h"
#include "runtime/policy_rules.h"
#include "runtime/random_policy.h"
#include "tests/support/sample_model.h"

using namespace bitpilot;
using bitpilot::testing::sample_model;
using bitpilot::testing::sample_network;

namespace {

ModelData model_with(const PolicyParameters& parameters) {
  ModelData model = sample_model(sample_network());
  model.statistics.clear();
  model.ranges.clear();
  model.policy = pack_policy(parameters);
  return model;
}

ModelData bare_model() { return sample_model(sample_network()); }

struct Look {
  ImageStatistics statistics;
  std::vector<std::int32_t> stem;
  std::vector<float> scores;
};

Look random_look(std::uint64_t index) {
  Random random(3, "look", index);
  Look look;
  for (float& s : look.statistics.values) s = static_cast<float>(random.uniform(-2, 2));
  for (int c = 0; c < 16; ++c) look.stem.push_back(static_cast<std::int32_t>(random.below(400)) - 100);
  for (int c = 0; c < 5; ++c) look.scores.push_back(static_cast<float>(3 * random.normal()));
  return look;
}

}  // namespace

TEST_CASE("runtime/fixed_math: exponential, logarithm and softmax agree with the C library") {
  for (float x = -60; x <= 0; x += 0.37F)
    CHECK(fixed_math::exp_negative(x) == doctest::Approx(std::exp(x)).epsilon(2e-6));
  CHECK(fixed_math::exp_negative(-1000) == 0.0F);
  CHECK(fixed_math::exp_negative(0) == 1.0F);
  for (float x = 1e-6F; x < 1e6F; x *= 1.7F)
    CHECK(fixed_math::log_positive(x) == doctest::Approx(std::log(x)).epsilon(2e-6));
  std::vector<float> p;
  const std::vector<float> scores{1.0F, 3.0F, -2.0F};
  const float entropy = fixed_math::softmax(scores, 2.0F, p);
  double sum = 0, expected = 0;
  for (const float s : scores) sum += std::exp(s / 2.0);
  for (std::size_t i = 0; i < 3; ++i) {
    const double q = std::exp(scores[i] / 2.0) / sum;
    CHECK(p[i] == doctest::Approx(q).epsilon(1e-5));
    expected -= q * std::log(q);
  }
  CHECK(entropy == doctest::Approx(expected).epsilon(1e-5));
}

TEST_CASE("runtime/policy_parameters: what is packed comes back exactly") {
  const PolicyParameters p = random_policy(bare_model());
  const PolicyParameters back = unpack_policy(model_with(p));
  CHECK(back.feature_mean == p.feature_mean);
  CHECK(back.embedding == p.embedding);
  CHECK(back.first_value == p.first_value);
  CHECK(back.pair_allowed == p.pair_allowed);
  CHECK(back.curve_at == p.curve_at);
  CHECK(back.curve_drop == p.curve_drop);
  CHECK(back.stop_residual == p.stop_residual);
  CHECK(back.stop_weight == p.stop_weight);
  CHECK(back.spread == p.spread);
  CHECK(back.lambda_high == p.lambda_high);
}

TEST_CASE("runtime/policy_parameters: a policy that does not fit its network is refused") {
  const PolicyParameters good = random_policy(bare_model());
  const auto refused = [&](const std::function<void(ModelData&)>& damage) {
    ModelData model = model_with(good);
    damage(model);
    try {
      unpack_policy(model);
    } catch (const Error& error) {
      return error.code == ExitCode::kData;
    }
    return false;
  };
  CHECK_FALSE(refused([](ModelData&) {}));
  CHECK(refused([](ModelData& m) { m.policy.tensors.erase("first.value"); }));
  CHECK(refused([](ModelData& m) { m.policy.tensors["feature_mean"].shape = {3}; }));
  CHECK(refused([](ModelData& m) { m.policy.tensors["feature_mean"].dtype = "I32"; }));
  CHECK(refused([](ModelData& m) { m.policy.tensors["cost.first"].bytes.pop_back(); }));
  CHECK(refused([](ModelData& m) { m.policy.tensors["embedding.1.weights"].shape = {6, 11}; }));
  CHECK(refused([](ModelData& m) { m.policy.description = "{}"; }));
  CHECK(refused([](ModelData& m) { m.policy.description = ""; }));
  CHECK(refused([](ModelData& m) { m.anchors.pop_back(); }));
  CHECK(refused([&](ModelData& m) {
    PolicyParameters p = good;
    p.curve_at[0] = {0.5F, 0.2F, 0.8F, 1.4F};
    m.policy = pack_policy(p);
  }));
  CHECK(refused([&](ModelData& m) {
    PolicyParameters p = good;
    p.feature_scale[0] = std::numeric_limits<float>::quiet_NaN();
    m.policy = pack_policy(p);
  }));
  // In float32, as the tables are read: no room between the ends, or an end that float32 does not have.
  for (const auto& [low, high] : {std::pair{1000.0, 1000.000001}, {1.0, 1.0}, {1e-320, 1.0}, {1.0, 1e300}}) {
    CAPTURE(high);
    CHECK(refused([&, low = low, high = high](ModelData& m) {
      PolicyParameters p = good;
      p.lambda_low = low;
      p.lambda_high = high;
      m.policy = pack_policy(p);
    }));
  }
  CHECK(refused([&](ModelData& m) {
    PolicyParameters p = good;
    p.first_allowed[3].assign(p.anchors(), 0);
    m.policy = pack_policy(p);
  }));
}

TEST_CASE("runtime/policy_head: decisions are the same on every machine") {
  const PolicyHead head(model_with(random_policy(bare_model())));
  PolicyScratch scratch;
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  int second_looks = 0;
  std::vector<int> firsts(4, 0);
  for (std::uint64_t i = 0; i < 400; ++i) {
    const Look look = random_look(i);
    const Observation& observation = head.observe(look.statistics, look.stem, scratch);
    const double lambda = std::ldexp(1.0, static_cast<int>(i % 9) - 5);
    const FirstLook& first = head.first(observation, lambda, scratch);
    const SecondLook& second = head.second(observation, first, look.scores, lambda, scratch);
    second_looks += second.anchor >= 0 ? 1 : 0;
    ++firsts[static_cast<std::size_t>(first.anchor)];
    std::uint32_t severity = 0;
    std::memcpy(&severity, &observation.severity, sizeof severity);
    for (const std::uint64_t v : {static_cast<std::uint64_t>(first.anchor),
                                  static_cast<std::uint64_t>(second.anchor + 1), std::uint64_t{severity}})
      hash = (hash ^ v) * 0x100000001b3ULL;
  }
  CHECK(second_looks > 50);
  CHECK(second_looks < 350);
  CHECK(firsts[0] > 0);
  CHECK(hash == 11205393038268639853ULL);  // recorded on x86-64; no kernel and no C library mathematics is involved
}

TEST_CASE("runtime/policy_rules: without networks and with one pair the policy is a threshold on confidence") {
  PolicyParameters p = random_policy(bare_model());
  p.first_weight = p.stop_weight = 0;
  const std::size_t k = p.anchors();
  for (auto& row : p.first_allowed) row = {1, 0, 0, 0};
  for (auto& row : p.pair_allowed) {
    row.assign(k * k, 0);
    row[1] = 1;  // anchor 0, then anchor 1
  }
  const std::vector<float> none(k, 0.0F);
  for (const double lambda : {0.05, 0.3, 1.0, 3.0}) {
    CHECK(choose_first(p, none, lambda) == 0);
    bool escalated = false;
    for (float signal = 0; signal < 2; signal += 0.01F) {
      const int second = choose_second(p, 0, signal, none, lambda);
      if (escalated) CHECK(second == 1);
      escalated = second >= 0;
    }
  }
}

TEST_CASE("runtime/policy_rules: where the signal is no number there is no second look") {
  const PolicyParameters p = random_policy(bare_model());
  const std::vector<float> none(p.anchors(), 0.0F);
  for (int taken = 0; taken < static_cast<int>(p.anchors()); ++taken)
    CHECK(choose_second(p, taken, std::numeric_limits<float>::quiet_NaN(), none, 0) == -1);
}

TEST_CASE("runtime/policy_rules: a dearer lambda never adds a second look, and the floor stops cheaper ones") {
  PolicyParameters p = random_policy(bare_model());
  const std::vector<float> none(p.anchors(), 0.0F);
  for (float signal = 0; signal < 1.6F; signal += 0.05F) {
    bool looked = true;
    for (double lambda = 0.01; lambda < 20; lambda *= 1.5) {
      const bool looks = choose_second(p, 0, signal, none, lambda) >= 0;
      CHECK((looked || !looks));
      looked = looks;
    }
  }
  p.lambda_floor = 2.0;
  for (float signal = 0; signal < 1.6F; signal += 0.05F)
    CHECK(choose_second(p, 0, signal, none, 0.001) == choose_second(p, 0, signal, none, 2.0));
}

TEST_CASE("runtime/policy_head: statistics outside twice their range are out of range") {
  ModelData model = model_with(random_policy(bare_model()));
  model.ranges.assign(kStatisticsCount, {-1.0F, 1.0F});
  const PolicyHead head(model);
  const std::vector<std::int32_t> stem(16, 100);
  const auto out = [&](float value) {
    ImageStatistics statistics;
    statistics.values[4] = value;
    PolicyScratch scratch;
    return head.observe(statistics, stem, scratch).out_of_range;
  };
  CHECK_FALSE(out(0));
  CHECK_FALSE(out(1.99F));
  CHECK_FALSE(out(-2.0F));
  CHECK(out(2.01F));
  CHECK(out(-2.01F));
  CHECK(out(std::numeric_limits<float>::quiet_NaN()));
  CHECK(out(std::numeric_limits<float>::infinity()));
}

TEST_CASE("runtime/policy_head: offsets move layers to the nearest rung and ties go down") {
  PolicyParameters p = random_policy(bare_model());
  const auto layers = static_cast<int>(bare_model().network.layer_count());
  const auto constant = [&](float offset) {
    IntegerLayer layer;
    layer.inputs = p.embedding.outputs() + 1;
    layer.outputs = 2 * layers;
    layer.weights.assign(static_cast<std::size_t>(layer.inputs * layer.outputs), 0);
    layer.bias.assign(static_cast<std::size_t>(layer.outputs), 1000);
    layer.multiplier.assign(static_cast<std::size_t>(layer.outputs), offset / 1000.0F);
    PolicyParameters moved = p;
    moved.offset.layers = {layer};
    for (auto& row : moved.first_allowed) row = {0, 1, 0, 0};  // u4 of {2, 4, 8}
    return moved;
  };
  const auto first = [&](float offset) {
    const PolicyHead head(model_with(constant(offset)));
    const Look look = random_look(1);
    PolicyScratch scratch;
    return head.first(head.observe(look.statistics, look.stem, scratch), 1.0, scratch);
  };
  CHECK(first(0.5F).config[1] == first(0.0F).config[1]);
  CHECK(first(0.51F).config[1].weight == 8);
  CHECK(first(0.51F).config[1].activation == 8);
  CHECK(first(-0.5F).config[1].weight == 2);  // the tie between 2 and 4 goes to 2
  CHECK(first(-0.49F).config[1].weight == 4);
  CHECK(first(5.0F).config[1].weight == 8);
  CHECK(first(1.0F).config[0].weight == 8);  // the stem is outside the action space
  CHECK(first(0.25F).distributions[1].weight_mean == doctest::Approx(5.0));
  CHECK(first(0.25F).distributions[1].weight_std == doctest::Approx(0.25));
}

TEST_CASE("runtime/policy_head: only a policy whose networks have no weight may go unobserved") {
  PolicyParameters p = random_policy(bare_model());
  p.offset = {};
  p.first_weight = p.stop_weight = 0;
  const PolicyHead blind(model_with(p));
  CHECK_FALSE(blind.reads_observation());
  const Look look = random_look(1);
  PolicyScratch scratch;
  const Observation seen = blind.observe(look.statistics, look.stem, scratch);
  const int choice = blind.first(seen, 0.5, scratch).anchor;
  CHECK(blind.first(blind.unobserved(scratch), 0.5, scratch).anchor == choice);
  CHECK(scratch.observation.embedding.size() == seen.embedding.size());
  CHECK(blind.bops(false) > confidence_bops(2));
  CHECK(blind.bops() - blind.bops(false) > statistics_bops(12, 12));
  p.first_weight = 0.25F;
  const PolicyHead reading(model_with(p));
  CHECK(reading.reads_observation());
  CHECK_THROWS_AS(reading.unobserved(scratch), Error);
}

TEST_CASE("runtime/policy_head: its price covers statistics, stem sums and the networks that run") {
  PolicyParameters p = random_policy(bare_model());
  const double whole = PolicyHead(model_with(p)).bops();
  p.stop_weight = 0;
  const double without_stop = PolicyHead(model_with(p)).bops();
  p.first_weight = 0;
  const double without_both = PolicyHead(model_with(p)).bops();
  // The stop network and, in float32, the standardisation of the look that it reads: four operations a feature.
  CHECK(whole - without_stop == doctest::Approx(64.0 * static_cast<double>(p.stop_residual[0].macs()) +
                                                1024.0 * 4.0 * static_cast<double>(p.confidence_mean.size())));
  CHECK(without_stop - without_both == doctest::Approx(64.0 * static_cast<double>(p.first_residual.macs())));
  CHECK(without_both > statistics_bops(12, 12) + 64.0 * static_cast<double>(p.embedding.macs()));
  // Without a second look nobody asks how sure the first one was.
  for (auto& row : p.pair_allowed) std::fill(row.begin(), row.end(), std::uint8_t{0});
  CHECK(without_both - PolicyHead(model_with(p)).bops() == doctest::Approx(confidence_bops(static_cast<std::size_t>(bare_model().network.classes()))));
}
