#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/image_statistics.h"
#include "runtime/format/model_data.h"
#include "runtime/look_confidence.h"
#include "runtime/policy_parameters.h"

namespace bitpilot {

/// Continuous distribution over the bits of one layer: mean and standard deviation in bits.
struct LayerDistribution {
  float weight_mean = 8, weight_std = 0;
  float activation_mean = 8, activation_std = 0;
};

/// What the policy knows of a picture before any look.  Pixels only; no label, no degradation.
struct Observation {
  std::vector<float> embedding;  ///< of the data-quality estimator
  float severity = 0;            ///< estimated, 0..5; quality.score = 1 - severity / 5
  bool out_of_range = false;     ///< a statistic is outside twice its 0.1..99.9 % training range
};

struct FirstLook {
  int anchor = 0;
  double position = 0;  ///< t1 in [0, 1] on the anchor path, cheapest to dearest
  BitConfig config;     ///< the anchor's, moved by the per-layer offsets where the model has them
  std::vector<LayerDistribution> distributions;  ///< one per weight layer
};

struct SecondLook {
  int anchor = -1;       ///< -1: stop
  float confidence = 0;  ///< of the look that was just taken: top-1 probability at the anchor's temperature
  int label = 0;         ///< of the look that was just taken
  std::vector<LayerDistribution> distributions;  ///< of the second look, empty on stop
};

/// What one caller's decisions are made in.  Kept from picture to picture, nothing is allocated once every way through
/// the policy was gone.
struct PolicyScratch {
  Observation observation;
  FirstLook first;
  SecondLook second;
  std::vector<std::int32_t> codes, hidden;
  std::vector<float> outputs, residual, offsets, features;
  LookConfidence confidence;
};

/// BOPs of knowing how sure a look is: the softmax over its scores, which a threshold needs as well.
double confidence_bops(std::size_t classes);

/// A look's scores in short.
struct LookSummary {
  float confidence = 0;  ///< top-1 probability at the anchor's temperature
  int label = 0;
  float signal = 0;  ///< what the stop curves read
};

/// The learned policy at run time, without LibTorch: integer multilayer perceptrons, float32 only in fixed order, so
/// the same decision on every ISA and for every batch.  Immutable, shared between threads; a scratch is one thread's.
class PolicyHead {
 public:
  /// Throws Error(kData) if the model's policy does not fit its network; a model without a policy is refused too (use
  /// has_policy first).
  explicit PolicyHead(const ModelData& model);
  static bool has_policy(const ModelData& model) { return !model.policy.description.empty(); }

  /// What observe(), first(), second() and unobserved() return stands in the scratch, until the same is asked again.
  /// `stem_sums`: Session::stem_sums().
  const Observation& observe(const ImageStatistics& statistics, std::span<const std::int32_t> stem_sums,
                             PolicyScratch& scratch) const;
  const FirstLook& first(const Observation& observation, double lambda, PolicyScratch& scratch) const;
  /// After `taken` gave `scores` (before temperature): stop, or the anchor to look at next.
  const SecondLook& second(const Observation& observation, const FirstLook& taken, std::span<const float> scores,
                           double lambda, PolicyScratch& scratch) const;

  /// What the choices are made of (see policy_rules.h), before the weights: this picture's deviations from the mean
  /// values, [anchors], and after a look its confidence, label, stop signal and deviations from the curves (`residual`
  /// may be empty).  For sweeps over tables of outcomes, which need no configurations and distributions.
  void first_residual(const Observation& observation, double lambda, PolicyScratch& scratch,
                      std::span<float> residual) const;
  LookSummary summarise(const Observation& observation, int taken, std::span<const float> scores,
                        PolicyScratch& scratch, std::span<float> residual) const;
  const PolicyParameters& parameters() const;

  /// Whether any choice depends on the picture before the first look.  Where its networks earned no weight a policy chooses by the looks
  /// alone, and the observation serves the range check and the quality estimate.
  bool reads_observation() const;
  /// What stands for a picture that nobody observed; only for a policy that does not read it.
  const Observation& unobserved(PolicyScratch& scratch) const;

  /// BOPs of observe + first + second at the precisions they run at, statistics included; `observed` false: without statistics and
  /// estimator.  A policy that never looks twice decides nothing after its look.
  double bops(bool observed = true) const;
  /// The same in measured time over uniform 8 bits'; only for a policy priced in it.
  double relative_time(bool observed = true) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// What a policy of this model pays per picture for nothing but the range check and the quality estimate, relative to uniform 8 bits, in the unit
/// that it is priced in; 0
/// where its choices read the picture anyway.
double guard_relative_cost(const ModelData& model);

}  // namespace bitpilot
