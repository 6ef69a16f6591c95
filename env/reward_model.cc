#include "env/reward_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "runtime/core/random.h"

namespace bitpilot {
namespace {

constexpr double kBitsScale = 1.0 / 8.0;

torch::Tensor uniform_start(std::int64_t outputs, std::int64_t inputs, Random& random) {
  torch::Tensor weights = torch::empty({outputs, inputs});
  const double bound = std::sqrt(3.0 / static_cast<double>(inputs));
  float* data = weights.data_ptr<float>();
  for (std::int64_t i = 0; i < outputs * inputs; ++i) data[i] = static_cast<float>(random.uniform(-bound, bound));
  return weights.requires_grad_(true);
}

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> result(values.size());
  for (std::size_t from = 0; from < order.size();) {
    std::size_t to = from;
    while (to < order.size() && values[order[to]] == values[order[from]]) ++to;
    for (std::size_t i = from; i < to; ++i) result[order[i]] = 0.5 * static_cast<double>(from + to - 1);
    from = to;
  }
  return result;
}

torch::Tensor inputs_of(const torch::Tensor& embedding, const torch::Tensor& bits, const torch::Tensor& width) {
  return torch::cat({embedding, bits.flatten(1) * kBitsScale, width}, 1);
}

}  // namespace

struct RewardModel::Impl {
  struct Member {
    std::vector<torch::Tensor> parameters;
    /// [N, 2]: mean, log variance (bounded).
    torch::Tensor forward(const torch::Tensor& x) const {
      torch::Tensor h = torch::silu(torch::addmm(parameters[1], x, parameters[0].t()));
      h = torch::silu(torch::addmm(parameters[3], h, parameters[2].t()));
      return torch::addmm(parameters[5], h, parameters[4].t());
    }
  };
  std::vector<Member> members;
};

RewardModel::RewardModel(int embedding, int layers, const RewardModelOptions& options)
    : impl_(std::make_unique<Impl>()), options_(options) {
  const std::int64_t inputs = embedding + 3 * layers, hidden = options.hidden;
  for (int m = 0; m < options.members; ++m) {
    Random random(options.seed, "reward model", static_cast<std::uint64_t>(m));
    Impl::Member member;
    for (const auto& [outputs, width] : {std::pair{hidden, inputs}, {hidden, hidden}, {std::int64_t{2}, hidden}}) {
      member.parameters.push_back(uniform_start(outputs, width, random));
      member.parameters.push_back(torch::zeros({outputs}).requires_grad_(true));
    }
    impl_->members.push_back(std::move(member));
  }
}

RewardModel::~RewardModel() = default;

void RewardModel::fit(const Rollouts& rollouts) {
  const torch::Tensor held = rollouts.picture.remainder(5).eq(0);
  const torch::Tensor train_rows = held.logical_not().nonzero().flatten(), held_rows = held.nonzero().flatten();
  const torch::Tensor x = inputs_of(rollouts.embedding, rollouts.bits, rollouts.width).detach();
  const std::int64_t count = train_rows.size(0);
  for (std::size_t m = 0; m < impl_->members.size(); ++m) {
    Impl::Member& member = impl_->members[m];
    torch::optim::AdamW optimizer(member.parameters,
                                  torch::optim::AdamWOptions(options_.learning_rate).weight_decay(1e-3));
    for (int epoch = 0; epoch < options_.epochs; ++epoch) {
      std::vector<std::int64_t> order(static_cast<std::size_t>(count));
      std::iota(order.begin(), order.end(), 0);
      Random shuffle(options_.seed + m, "reward model order", static_cast<std::uint64_t>(epoch));
      for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[shuffle.below(i)]);
      const torch::Tensor permuted = train_rows.index_select(0, torch::tensor(order, torch::kInt64));
      for (std::int64_t from = 0; from < count; from += options_.batch) {
        const torch::Tensor rows = permuted.slice(0, from, std::min(count, from + options_.batch));
        const torch::Tensor out = member.forward(x.index_select(0, rows));
        const torch::Tensor log_variance = torch::clamp(out.select(1, 1), -6.0, 3.0);
        const torch::Tensor error = out.select(1, 0) - rollouts.loss.index_select(0, rows);
        optimizer.zero_grad();
        (0.5 * (log_variance + error.square() * torch::exp(-log_variance))).mean().backward();
        optimizer.step();
      }
    }
  }
  const torch::NoGradGuard no_grad;
  const torch::Tensor predicted = predict(rollouts.embedding, rollouts.bits, rollouts.width).mean;
  std::map<std::int64_t, std::pair<std::vector<double>, std::vector<double>>> by_picture;
  for (std::int64_t i = 0; i < held_rows.size(0); ++i) {
    const std::int64_t row = held_rows[i].item<std::int64_t>();
    auto& [a, b] = by_picture[rollouts.picture[row].item<std::int64_t>()];
    a.push_back(predicted[row].item<double>());
    b.push_back(rollouts.loss[row].item<double>());
  }
  double sum = 0;
  for (const auto& [picture, pair] : by_picture) sum += spearman(pair.first, pair.second);
  rank_correlation_ = by_picture.empty() ? 0 : sum / static_cast<double>(by_picture.size());
}

RewardModel::Prediction RewardModel::predict(const torch::Tensor& embedding, const torch::Tensor& bits,
                                             const torch::Tensor& width) const {
  const torch::Tensor x = inputs_of(embedding, bits, width);
  std::vector<torch::Tensor> means;
  for (const Impl::Member& member : impl_->members) {
    means.push_back(member.forward(x).select(1, 0));
  }
  const torch::Tensor mean = torch::stack(means);
  const torch::Tensor centre = mean.mean(0);
  return {centre, torch::sqrt((mean - centre).square().mean(0) + 1e-8)};
}

double spearman(const std::vector<double>& a, const std::vector<double>& b) {
  const std::vector<double> ra = ranks(a), rb = ranks(b);
  const double n = static_cast<double>(a.size()), mean = (n - 1) / 2;
  double product = 0, square_a = 0, square_b = 0;
  for (std::size_t i = 0; i < ra.size(); ++i) {
    product += (ra[i] - mean) * (rb[i] - mean);
    square_a += (ra[i] - mean) * (ra[i] - mean);
    square_b += (rb[i] - mean) * (rb[i] - mean);
  }
  return square_a > 0 && square_b > 0 ? product / std::sqrt(square_a * square_b) : 0;
}

}  // namespace bitpilot
