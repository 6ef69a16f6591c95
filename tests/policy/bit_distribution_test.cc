#include "policy/bit_distribution.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "policy/relaxed_bits.h"
#include "runtime/core/error.h"
#include "tests/policy/synthetic_outcomes.h"

using namespace bitpilot;

namespace {

const std::vector<BitDistribution>& distributions() {
  static const std::vector<BitDistribution> all{
      {BitFamily::kLogistic, 0.0, 0.3},        {BitFamily::kLogistic, -1.7, 0.9},
      {BitFamily::kLogistic, 2.5, 0.15},       {BitFamily::kTruncatedNormal, 0.5, 0.2},
      {BitFamily::kTruncatedNormal, 0.1, 0.4}, {BitFamily::kTruncatedNormal, 0.95, 0.1}};
  return all;
}

}  // namespace

TEST_CASE("policy/bit_distribution: density, distribution function, samples and entropy belong together") {
  for (const BitDistribution& d : distributions()) {
    INFO(bit_family_name(d.family), " mean ", d.mean, " spread ", d.spread);
    constexpr int kSteps = 20000;
    double mass = 0, entropy = 0;
    for (int i = 0; i < kSteps; ++i) {
      const double y = (i + 0.5) / kSteps, log_p = d.log_density(y);
      mass += std::exp(log_p) / kSteps;
      entropy -= std::exp(log_p) * log_p / kSteps;
      if (i % 2000 == 1000) CHECK(mass == doctest::Approx(d.cdf(y + 0.5 / kSteps)).epsilon(0.002));
    }
    CHECK(mass == doctest::Approx(1).epsilon(0.002));
    CHECK(d.entropy() == doctest::Approx(entropy).epsilon(0.01));
    for (const double u : {0.01, 0.2, 0.5, 0.9, 0.99}) CHECK(d.cdf(d.sample(u)) == doctest::Approx(u).epsilon(1e-6));
    CHECK(d.cdf(d.median()) == doctest::Approx(0.5));
    const auto p = d.rung_probabilities(5);
    CHECK(std::accumulate(p.begin(), p.end(), 0.0) == doctest::Approx(1));
  }
}

TEST_CASE("policy/bit_distribution: its median is the rung it was made for, and ties round down") {
  for (const BitFamily family : {BitFamily::kLogistic, BitFamily::kTruncatedNormal}) {
    for (int rung = 0; rung < 4; ++rung) {
      const BitDistribution d = BitDistribution::at_position(family, rung, 4, 0.05);
      CHECK(nearest_rung(ladder_position(d.median(), 4), 4) == rung);
      const auto p = d.rung_probabilities(4);
      CHECK(std::max_element(p.begin(), p.end()) - p.begin() == rung);
    }
  }
  CHECK(nearest_rung(1.5, 4) == 1);
  CHECK(nearest_rung(1.51, 4) == 2);
  CHECK(nearest_rung(-3, 4) == 0);
  CHECK(nearest_rung(9, 4) == 3);
  CHECK(bits_between({2, 3, 4, 8}, 2.25) == doctest::Approx(5));
  CHECK(bits_between({2, 3, 4, 8}, 3) == doctest::Approx(8));
  CHECK(bits_between({8}, 0) == doctest::Approx(8));
  const BitMoments moments =
      bit_moments(BitDistribution::at_position(BitFamily::kTruncatedNormal, 1, 3, 0.05), {2, 3, 4});
  CHECK(moments.mean == doctest::Approx(3));
  CHECK(moments.deviation == doctest::Approx(0.15).epsilon(0.02));  // 0.05 of the unit interval, three rungs wide
  CHECK_THROWS_AS(bit_family("logistik"), Error);
}

TEST_CASE("policy/relaxed_bits: costs and bits on rungs are the table's, and gradients never vanish there") {
  const ModelData model = bitpilot::testing::synthetic_model();
  const CostTable cost = bops_table(model.network, model.space);
  const LadderTensors ladder = ladder_tensors(model, cost);
  const torch::Tensor anchors = torch::tensor({0, 1, 2, 3}, torch::kInt64);
  torch::Tensor position = ladder.path.clone().requires_grad_(true);
  const torch::Tensor costs = cost_of(ladder, anchors, position), bits = bits_of(ladder, position);
  for (std::int64_t k = 0; k < 4; ++k) {
    const BitConfig& config = model.anchors[static_cast<std::size_t>(k)].config;
    CHECK(costs[k].item<double>() == doctest::Approx(cost.cost(config) / cost.reference()).epsilon(1e-5));
    for (std::int64_t l = 0; l < 6; ++l) CHECK(bits[k][l][0].item<int>() == config[static_cast<std::size_t>(l)].weight);
  }
  (costs.sum() + bits.sum()).backward();
  const torch::Tensor adaptive = ladder.adaptive.view({1, -1, 1}).expand_as(position);
  CHECK(position.grad().masked_select(adaptive > 0).min().item<double>() > 0);
}

TEST_CASE(
    "policy/relaxed_bits: samples follow the distribution they are drawn from, with gradients by reparameterisation") {
  const ModelData model = bitpilot::testing::synthetic_model();
  const LadderTensors ladder = ladder_tensors(model, bops_table(model.network, model.space));
  const std::int64_t layers = ladder.rungs.size(0);
  for (const BitFamily family : {BitFamily::kLogistic, BitFamily::kTruncatedNormal}) {
    const torch::Tensor u = torch::full({1, layers, 2}, 0.73), spread = torch::full({layers, 2}, 0.2);
    torch::Tensor centre = torch::full({1, layers, 2}, 1.2).requires_grad_(true);
    const torch::Tensor position = sample_positions(family, ladder, centre, spread, u);
    const BitDistribution d = BitDistribution::at_position(family, 1.2, 3, 0.2);
    CHECK(position[0][1][0].item<double>() == doctest::Approx(ladder_position(d.sample(0.73), 3)).epsilon(1e-4));
    position[0][1][0].backward();
    const double step = 1e-4,
                 up = ladder_position(BitDistribution::at_position(family, 1.2 + step, 3, 0.2).sample(0.73), 3),
                 down = ladder_position(BitDistribution::at_position(family, 1.2 - step, 3, 0.2).sample(0.73), 3);
    CHECK(centre.grad()[0][1][0].item<double>() == doctest::Approx((up - down) / (2 * step)).epsilon(0.01));
  }
}

TEST_CASE("policy/relaxed_bits: a policy that treats all pictures alike carries no information about them") {
  const ModelData model = bitpilot::testing::synthetic_model();
  const LadderTensors ladder = ladder_tensors(model, bops_table(model.network, model.space));
  const std::int64_t layers = ladder.rungs.size(0);
  const torch::Tensor spread = torch::full({layers, 2}, 0.2);
  const torch::Tensor alike = torch::full({8, layers, 2}, 1.0);
  torch::Tensor different = alike.clone();
  different.slice(0, 0, 4) -= 1.0;
  const auto entropy = [](const std::vector<double>& p) {
    double sum = 0;
    for (const double share : p) sum -= share > 0 ? share * std::log(share) : 0;
    return sum;
  };
  for (const BitFamily family : {BitFamily::kLogistic, BitFamily::kTruncatedNormal}) {
    INFO(std::string(bit_family_name(family)));
    CHECK(std::abs(rung_information(family, ladder, alike, spread).item<double>()) < 1e-5);
    double expected = 0, layers_counted = 0;
    for (std::int64_t l = 0; l < layers; ++l) {
      const auto& space = model.space.layers[static_cast<std::size_t>(l)];
      if (space.fixed) continue;
      const auto rungs = static_cast<int>(space.bits.size());
      const auto low = BitDistribution::at_position(family, 0, rungs, 0.2).rung_probabilities(rungs),
                 high = BitDistribution::at_position(family, 1, rungs, 0.2).rung_probabilities(rungs);
      std::vector<double> both;
      for (std::size_t r = 0; r < low.size(); ++r) both.push_back((low[r] + high[r]) / 2);
      expected += entropy(both) - (entropy(low) + entropy(high)) / 2;
      ++layers_counted;
    }
    CHECK(rung_information(family, ladder, different, spread).item<double>() == doctest::Approx(expected / layers_counted).epsilon(1e-3));
    CHECK(expected / layers_counted > 0.1);
  }
}
