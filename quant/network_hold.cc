// Paths trained one after the other: what a finished path runs on stays as it is while the rest of the network goes on learning.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "quant/quantized_network.h"
#include "runtime/core/error.h"
#include "runtime/core/integer.h"

namespace bitpilot {

using torch::Tensor;

namespace {

struct CodeRange {
  int lowest = integer::signed_lowest(8), highest = integer::signed_highest(8);
};

// All 8-bit codes that narrow to the same `bits`-wide code as `code`.
CodeRange same_narrow_code(int code, int bits) {
  const int narrow = integer::nested_code(code, bits);
  CodeRange range{code, code};
  while (range.lowest > integer::signed_lowest(8) && integer::nested_code(range.lowest - 1, bits) == narrow) --range.lowest;
  while (range.highest < integer::signed_highest(8) && integer::nested_code(range.highest + 1, bits) == narrow) ++range.highest;
  return range;
}

using RangeTable = std::array<CodeRange, 256>;

RangeTable range_table(int bits) {
  RangeTable table;
  for (int code = -128; code < 128; ++code) table[static_cast<std::size_t>(code + 128)] = same_narrow_code(code, bits);
  return table;
}

// Of a latent weight's distance to the next code: below one half, so that rounding leads back to the code itself.
constexpr double kInside = 0.49;

}  // namespace

void QuantizedNetwork::hold(const std::vector<int>& paths) {
  if (!quantized_) throw Error(ExitCode::kBug, "a float network has no codes to hold", network_.name, "report this");
  torch::NoGradGuard guard;
  holds_.assign(layers_.size(), Hold{});
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Tensor w = layers_[l].weight.detach().contiguous(), step = layers_[l].log_step.detach().exp();
    const std::int64_t rows = w.size(0), columns = w.size(1), kernel = w.numel() / (rows * columns);
    Hold& hold = holds_[l];
    hold.lowest = torch::full_like(w, -std::numeric_limits<float>::infinity());
    hold.highest = torch::full_like(w, std::numeric_limits<float>::infinity());
    hold.step = layers_[l].log_step.detach().clone();
    hold.rows = 0;
    for (const int p : paths) {
      const BitConfig& config = specs_[p].config;
      const int layer = static_cast<int>(l);
      const std::int64_t out = network_.active_out(layer, config, space_);
      const std::int64_t in = network_.depthwise(layer) ? 1 : network_.active_in(layer, config, space_) / network_.layer(layer).groups;
      hold.rows = std::max(hold.rows, out);
      const RangeTable table = range_table(config[layer].weight);
      for (std::int64_t o = 0; o < out; ++o) {
        const float s = step.data_ptr<float>()[o];
        for (std::int64_t i = o * columns * kernel; i < (o * columns + in) * kernel; ++i) {
          const double code = integer::rne(std::clamp(w.data_ptr<float>()[i] / s, -128.0F, 127.0F));
          const CodeRange range = table[static_cast<std::size_t>(static_cast<int>(code) + 128)];
          float &lowest = hold.lowest.data_ptr<float>()[i], &highest = hold.highest.data_ptr<float>()[i];
          lowest = std::max(lowest, static_cast<float>((range.lowest - kInside) * s));
          highest = std::min(highest, static_cast<float>((range.highest + kInside) * s));
        }
      }
    }
  }
  held_stem_gamma_ = stem_.gamma.detach().clone();
  held_stem_beta_ = stem_.beta.detach().clone();
  constrain();
}

void QuantizedNetwork::constrain() {
  torch::NoGradGuard guard;
  if (quantizers_) quantizers_->constrain();
  stem_.gamma.clamp_min_(1e-3);
  for (Path& path : paths_)
    for (std::size_t l = 1; l < path.layers.size(); ++l) path.layers[l].gamma.clamp_min_(1e-3);
  for (std::size_t l = 0; l < holds_.size(); ++l) {
    const Hold& hold = holds_[l];
    if (hold.rows == 0) continue;
    Tensor weight = layers_[l].weight.detach();
    weight.copy_(torch::min(torch::max(weight, hold.lowest), hold.highest));
    layers_[l].log_step.detach().narrow(0, 0, hold.rows).copy_(hold.step.narrow(0, 0, hold.rows));
  }
  if (holds_.empty() || holds_[0].rows == 0) return;
  stem_.gamma.detach().narrow(0, 0, holds_[0].rows).copy_(held_stem_gamma_.narrow(0, 0, holds_[0].rows));
  stem_.beta.detach().narrow(0, 0, holds_[0].rows).copy_(held_stem_beta_.narrow(0, 0, holds_[0].rows));
}

void QuantizedNetwork::continue_paths(const std::vector<int>& trained, const std::vector<int>& fresh) {
  torch::NoGradGuard guard;
  auto same_width = [&](int left, int right) {
    for (std::size_t l = 0; l < layers_.size(); ++l)
      if (specs_[left].config[l].active_blocks != specs_[right].config[l].active_blocks) return false;
    return true;
  };
  for (const int to : fresh)
    for (const int from : trained) {
      if (!same_width(from, to)) continue;
      for (std::size_t l = 1; l < layers_.size(); ++l) {
        const PathLayer &source = paths_[from].layers[l], &target = paths_[to].layers[l];
        target.gamma.detach().copy_(source.gamma.detach());
        target.beta.detach().copy_(source.beta.detach());
        target.mean.copy_(source.mean);
        target.variance.copy_(source.variance);
      }
      break;
    }
}

}  // namespace bitpilot
