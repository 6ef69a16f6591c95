#include <doctest/doctest.h>

#include "quant/training_loop.h"
#include "runtime/core/backbones.h"
#include "runtime/core/error.h"

using namespace bitpilot;
using torch::Tensor;

namespace {

TrainingBatch toy_batch() {
  constexpr int kPictures = 40, kClasses = 5;
  torch::manual_seed(11);
  TrainingBatch batch{torch::rand({kPictures, 1, 12, 12}), torch::empty({kPictures}, torch::kLong)};
  for (int i = 0; i < kPictures; ++i) {
    batch.labels[i] = i % kClasses;
    batch.src[i][0].narrow(0, 2 * (i % kClasses), 2).add_(0.8);  // a bright band tells the class
  }
  return batch;
}

/// A supernet of two paths after `steps` steps, as its parameters.
NamedTensors trained(const TrainingOptions& wanted, int steps) {
  const Network network = resnet8({1, 12, 12}, 5, 16);
  const BitSpace space = make_bit_space(network, {2, 8}, 8);
  QuantizedNetwork supernet(network, space, {{"u2", uniform_config(space, 2, 2)}, {"full8", uniform_config(space, 8, 8)}},
                            /*quantized=*/true, 7);
  QuantizedNetwork float_network(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 7);
  const TrainingBatch batch = toy_batch();
  supernet.start_from(float_network, batch.src);
  TrainingOptions options = wanted;
  options.learning_rate = 3e-3;
  TrainingLoop loop(&supernet, &float_network, steps, options);
  for (int i = 0; i < steps; ++i) loop.step(batch, batch);
  NamedTensors copies;
  for (const auto& [name, tensor] : supernet.parameters()) copies.emplace_back(name, tensor.detach().clone());
  return copies;
}

bool same(const NamedTensors& a, const NamedTensors& b, const std::string& prefix = "") {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].first.starts_with(prefix) && !torch::equal(a[i].second, b[i].second)) return false;
  return true;
}

PathShares constant(double first) {
  return [first](std::int64_t, const std::vector<Tensor>& scores, const Tensor&) {
    Tensor shares = torch::empty({2, scores.front().size(0)});
    shares[0] = first;
    shares[1] = 1 - first;
    return shares;
  };
}

/// The sure half of a picture's probability on the first path.
Tensor by_confidence(const std::vector<Tensor>& scores) {
  const Tensor top = std::get<0>(torch::softmax(scores[0], 1).max(1));
  return torch::stack({top, 1 - top});
}

}  // namespace

TEST_CASE("quant/training_loop: shares that are alike weigh as none do, and none are asked before their time") {
  constexpr int kSteps = 3;
  const NamedTensors plain = trained({}, kSteps);
  TrainingOptions options;
  options.path_shares = constant(0.5);  // exact in floating point with two paths
  CHECK(same(trained(options, kSteps), plain));
  options.path_shares = constant(0.9);
  CHECK_FALSE(same(trained(options, kSteps), plain));
  options.shares_from = kSteps;
  CHECK(same(trained(options, kSteps), plain));
  std::vector<std::int64_t> asked;
  options.shares_from = 1;
  options.path_shares = [&](std::int64_t step, const std::vector<Tensor>& scores, const Tensor& labels) {
    asked.push_back(step);
    return constant(0.5)(step, scores, labels);
  };
  trained(options, kSteps);
  CHECK(asked == std::vector<std::int64_t>{1, 2});
}

TEST_CASE("quant/training_loop: a path without a share learns nothing of its own") {
  const NamedTensors before = trained({}, 0);
  TrainingOptions options;
  options.path_shares = constant(1.0);
  const NamedTensors after = trained(options, 2);
  CHECK(same(after, before, "path.full8."));
  CHECK_FALSE(same(after, before, "path.u2."));
}

TEST_CASE("quant/training_loop: shares are numbers to the loss, no gradient flows through them") {
  std::vector<Tensor> recorded;
  TrainingOptions options;
  options.path_shares = [&](std::int64_t, const std::vector<Tensor>& scores, const Tensor&) {
    for (const Tensor& s : scores) CHECK_FALSE(s.requires_grad());
    recorded.push_back(by_confidence(scores));
    return recorded.back();
  };
  const NamedTensors computed = trained(options, 3);
  REQUIRE(recorded.size() == 3);
  options.path_shares = [&](std::int64_t step, const std::vector<Tensor>&, const Tensor&) {
    return recorded[static_cast<std::size_t>(step)].clone();
  };
  CHECK(same(trained(options, 3), computed));
}

TEST_CASE("quant/training_loop: shares give the same bits on one thread and on three") {
  TrainingOptions options;
  options.random_paths = 1;
  options.path_shares = [](std::int64_t, const std::vector<Tensor>& scores, const Tensor&) { return by_confidence(scores); };
  options.threads = 1;
  const NamedTensors one = trained(options, 3);
  options.threads = 3;
  CHECK(same(trained(options, 3), one));
}

TEST_CASE("quant/training_loop: shares that do not add up are refused") {
  TrainingOptions options;
  options.path_shares = [](std::int64_t, const std::vector<Tensor>& scores, const Tensor&) {
    return torch::full({2, scores.front().size(0)}, 0.6);
  };
  CHECK_THROWS_AS(trained(options, 1), Error);
  options.path_shares = constant(1.5);  // sums to 1 with a negative share
  CHECK_THROWS_AS(trained(options, 1), Error);
  options.path_shares = [](std::int64_t, const std::vector<Tensor>&, const Tensor&) { return torch::ones({1, 40}); };
  CHECK_THROWS_AS(trained(options, 1), Error);
}
