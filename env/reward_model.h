#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace bitpilot {

struct RewardModelOptions {
  int members = 4;
  int hidden = 64;
  int epochs = 6;
  int batch = 256;
  double learning_rate = 2e-3;
  double gate = 0.5;  ///< least mean Spearman correlation within a picture on held-out pictures
  std::uint64_t seed = 0;
};

/// Executed episodes: what picture, which bits, what loss.  Rows of one picture have equal `picture`.
struct Rollouts {
  torch::Tensor embedding;  ///< f32 [M, E]
  torch::Tensor bits;       ///< f32 [M, L, 2]; hard bits, as executed by the integer engine
  torch::Tensor width;      ///< f32 [M, L] share of active blocks
  torch::Tensor loss;       ///< f32 [M] clipped task loss
  torch::Tensor picture;    ///< i64 [M]
};

/// The learned model of the reward: an ensemble of networks (embedding, bits / 8, widths) -> mean and log variance of
/// the task loss, trained by Gaussian likelihood on rollouts with integer bits.  Differentiable with respect to the
/// bits. Source of the ensemble: Lakshminarayanan et al., arXiv:1612.01474; of the pessimism: Chua et al.,
/// arXiv:1805.12114.
class RewardModel {
 public:
  RewardModel(int embedding, int layers, const RewardModelOptions& options);
  ~RewardModel();
  /// Trains on `train`; pictures with picture % 5 == 0 are held out and judge the gate.
  void fit(const Rollouts& rollouts);
  struct Prediction {
    torch::Tensor mean;       ///< [N] of the ensemble
    torch::Tensor deviation;  ///< [N] between members: what the model does not know
  };
  Prediction predict(const torch::Tensor& embedding, const torch::Tensor& bits, const torch::Tensor& width) const;
  /// Mean over held-out pictures of the Spearman correlation, within the picture, of predicted and executed loss.
  double rank_correlation() const { return rank_correlation_; }
  bool trusted() const { return rank_correlation_ >= options_.gate; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  RewardModelOptions options_;
  double rank_correlation_ = 0;
};

/// Spearman's rank correlation (mean ranks for ties); 0 when one side is constant.
double spearman(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace bitpilot
