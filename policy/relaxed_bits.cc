#include "policy/relaxed_bits.h"

#include <algorithm>

namespace bitpilot {
namespace {

constexpr double kEdge = 1e-4;

torch::Tensor log_odds(const torch::Tensor& y) { return torch::log(y) - torch::log1p(-y); }

/// Centre of the cell at a position, kept inside (0, 1).
torch::Tensor cell(const LadderTensors& ladder, const torch::Tensor& position) {
  return torch::clamp((position + 0.5) / ladder.rungs.view({1, -1, 1}), kEdge, 1 - kEdge);
}

torch::Tensor phi(const torch::Tensor& x) { return 0.5 * (1 + torch::erf(x * 0.70710678118654752)); }

/// P(Y <= edge) of the distributions around `centre`, all broadcast; edges inside (0, 1).
torch::Tensor below_edges(BitFamily family, const torch::Tensor& centre, const torch::Tensor& wide, const torch::Tensor& edges) {
  if (family == BitFamily::kLogistic) return torch::sigmoid((log_odds(edges) - log_odds(centre)) / wide);
  const torch::Tensor a = phi(-centre / wide);
  return (phi((edges - centre) / wide) - a) / (phi((1 - centre) / wide) - a);
}

/// Lower rung (never the last one) and the share of the upper one.
std::pair<torch::Tensor, torch::Tensor> split(const LadderTensors& ladder, const torch::Tensor& position) {
  const torch::Tensor last = torch::clamp_min(ladder.rungs - 2, 0).view({1, -1, 1});
  const torch::Tensor low = torch::minimum(torch::floor(position.detach()), last);
  return {low.to(torch::kInt64), position - low};
}

}  // namespace

LadderTensors ladder_tensors(const ModelData& model, const CostTable& cost) {
  const std::int64_t layers = model.network.layer_count(), anchors = static_cast<std::int64_t>(model.anchors.size());
  std::int64_t most = 1;
  for (const LayerSpace& layer : model.space.layers) most = std::max<std::int64_t>(most, std::ssize(layer.bits));
  LadderTensors t{torch::zeros({layers}),
                  torch::zeros({layers, most}),
                  torch::zeros({anchors, layers, 2}),
                  torch::ones({anchors, layers}),
                  torch::zeros({anchors, layers, most, most}),
                  torch::zeros({layers})};
  for (std::int64_t l = 0; l < layers; ++l) {
    const LayerSpace& space = model.space.layers[static_cast<std::size_t>(l)];
    const auto& ladder = space.bits;
    const auto bits_at = [&](std::int64_t r) {
      return ladder[static_cast<std::size_t>(std::min(r, static_cast<std::int64_t>(ladder.size()) - 1))];
    };
    t.rungs[l] = static_cast<float>(ladder.size());
    t.adaptive[l] = space.fixed ? 0.0F : 1.0F;
    for (std::int64_t r = 0; r < most; ++r) t.bits[l][r] = static_cast<float>(bits_at(r));
    for (std::int64_t k = 0; k < anchors; ++k) {
      BitConfig config = model.anchors[static_cast<std::size_t>(k)].config;
      LayerBits& own = config[static_cast<std::size_t>(l)];
      const auto rung = [&](int bits) {
        return static_cast<float>(std::lower_bound(ladder.begin(), ladder.end(), bits) - ladder.begin());
      };
      t.path[k][l][0] = rung(own.weight);
      t.path[k][l][1] = rung(own.activation);
      t.width[k][l] = static_cast<float>(own.active_blocks) / static_cast<float>(space.blocks);
      for (std::int64_t w = 0; w < most; ++w) {
        for (std::int64_t a = 0; a < most; ++a) {
          own.weight = bits_at(w);
          own.activation = bits_at(a);
          t.cost[k][l][w][a] = static_cast<float>(cost.layer_cost(static_cast<int>(l), config) / cost.reference());
        }
      }
    }
  }
  return t;
}

torch::Tensor sample_positions(BitFamily family, const LadderTensors& ladder, const torch::Tensor& position,
                               const torch::Tensor& spread, const torch::Tensor& u) {
  const torch::Tensor centre = cell(ladder, position), inside = torch::clamp(u, kEdge, 1 - kEdge),
                      wide = spread.unsqueeze(0);
  torch::Tensor y;
  if (family == BitFamily::kLogistic) {
    y = torch::sigmoid(log_odds(centre) + wide * log_odds(inside));
  } else {
    const torch::Tensor a = phi(-centre / wide), z = phi((1 - centre) / wide) - a;
    y = centre + wide * 1.4142135623730951 * torch::erfinv(torch::clamp(2 * (a + inside * z) - 1, -1 + 1e-6, 1 - 1e-6));
  }
  const torch::Tensor rungs = ladder.rungs.view({1, -1, 1});
  return torch::minimum(torch::clamp_min(y * rungs - 0.5, 0.0), rungs - 1);
}

torch::Tensor bits_of(const LadderTensors& ladder, const torch::Tensor& position) {
  const auto [low, share] = split(ladder, position);
  const torch::Tensor table = ladder.bits.unsqueeze(0).expand({position.size(0), -1, -1});
  const torch::Tensor high = torch::clamp_max(low + 1, ladder.bits.size(1) - 1);
  const torch::Tensor at_low = table.gather(2, low), at_high = table.gather(2, high);
  return at_low + share * (at_high - at_low);
}

torch::Tensor cost_of(const LadderTensors& ladder, const torch::Tensor& anchors, const torch::Tensor& position) {
  const auto [low, share] = split(ladder, position);
  const std::int64_t most = ladder.bits.size(1);
  const torch::Tensor high = torch::clamp_max(low + 1, most - 1);
  const torch::Tensor table = ladder.cost.index_select(0, anchors).flatten(2);  // [N, L, R * R]
  const auto entry = [&](const torch::Tensor& w, const torch::Tensor& a) {
    return table.gather(2, (w * most + a).unsqueeze(2)).squeeze(2);
  };
  const torch::Tensor wl = low.select(2, 0), wh = high.select(2, 0), al = low.select(2, 1), ah = high.select(2, 1);
  const torch::Tensor fw = share.select(2, 0), fa = share.select(2, 1);
  const torch::Tensor per_layer = (1 - fw) * (1 - fa) * entry(wl, al) + (1 - fw) * fa * entry(wl, ah) +
                                  fw * (1 - fa) * entry(wh, al) + fw * fa * entry(wh, ah);
  return per_layer.sum(1);
}

torch::Tensor nearest_anchors(const LadderTensors& ladder, const torch::Tensor& position) {
  const torch::Tensor steps = (position.detach().unsqueeze(1) - ladder.path.unsqueeze(0)).abs();
  const torch::Tensor narrow = (ladder.width.amin(1) < 1).to(torch::kFloat32) * 1e6;
  return ((steps * ladder.adaptive.view({1, 1, -1, 1})).sum({2, 3}) + narrow).argmin(1);
}

torch::Tensor rung_information(BitFamily family, const LadderTensors& ladder, const torch::Tensor& position,
                               const torch::Tensor& spread) {
  const std::int64_t most = ladder.bits.size(1);
  const torch::Tensor centre = cell(ladder, position).unsqueeze(3), wide = spread.unsqueeze(0).unsqueeze(3);
  // Upper edges r / rungs for r = 1 .. most - 1; edges at or past the last rung's have all the probability below them.
  const torch::Tensor edges =
      torch::arange(1, most, torch::kFloat32).view({1, 1, 1, -1}) / ladder.rungs.view({1, -1, 1, 1});
  const torch::Tensor below =
      torch::where(edges < 1 - 1e-6, below_edges(family, centre, wide, torch::clamp(edges, kEdge, 1 - kEdge)),
                   torch::ones_like(edges));
  const torch::Tensor zero = torch::zeros_like(centre), one = torch::ones_like(centre);
  const torch::Tensor p = torch::clamp_min(torch::cat({below, one}, 3) - torch::cat({zero, below}, 3), 1e-8);
  const torch::Tensor average = p.mean(0);
  const torch::Tensor information = (p * torch::log(p)).sum(3).mean(0) - (average * torch::log(average)).sum(2);
  return (information.mean(1) * ladder.adaptive).sum() / torch::clamp_min(ladder.adaptive.sum(), 1.0);
}

}  // namespace bitpilot
