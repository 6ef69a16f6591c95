#pragma once

#include "env/outcomes.h"
#include "policy/episodes.h"
#include "policy/policy_sweep.h"
#include "runtime/format/model_data.h"

namespace bitpilot {

/// Mean and scale of what is known of a picture before any look, from the pictures that a learner learns on.
struct Standardiser {
  std::vector<float> mean, scale;
  static Standardiser of(const OutcomeTable& table, const ModelData& model);
};
/// Statistics and stem means of every picture, standardised: [N][statistics + stem channels].
Rows standardised_features(const OutcomeTable& table, const ModelData& model, const Standardiser& standardiser);

/// The process of env/bit_env.h over the pictures of a table, which remembers what each pass would say.
///   state   standardised statistics and stem means, the price's code, one-hot anchor that was looked at (none before the
///           first look), and of that look top-1 and top-2 probability, margin and entropy at the anchor's temperature
///   action  0 .. anchors - 1: look at that anchor, the second time at a dearer one; `anchors`: stop
///   reward  -lambda * relative cost with each look, -clipped task loss at the end.  A first look at the dearest anchor
///           ends the episode.  The policy's own cost is the caller's matter: no action changes it.
class TwoLooks : public EpisodeProcess {
 public:
  /// `table` and `model` (whose temperatures hold) must outlive the process.
  TwoLooks(const OutcomeTable& table, const ModelData& model, AnchorCosts costs, const Standardiser& standardiser);
  std::size_t pictures() const override { return table_->size(); }
  int state_size() const override { return features_.columns + 1 + stop() + 4; }
  int actions() const override { return stop() + 1; }
  int stop() const { return static_cast<int>(costs_.first.size()); }
  Turn turn(std::size_t picture, double lambda, const std::vector<int>& taken) const override;
  Step execute(std::size_t picture, double lambda, const std::vector<int>& taken) override;

 private:
  bool dearer_exists(int anchor) const;

  const OutcomeTable* table_;
  const ModelData* model_;
  AnchorCosts costs_;
  Rows features_;
};

/// What a policy of the process decides for every picture of it; asks for no evaluations of the caller's account when
/// `process` is not the one that is learned on.
std::vector<PolicyChoice> greedy_choices(TwoLooks& process, const RealMlp& policy, double lambda);

}  // namespace bitpilot
