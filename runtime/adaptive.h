#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/preprocess.h"
#include "runtime/core/cost.h"
#include "runtime/engine/engine.h"
#include "runtime/policy_head.h"

namespace bitpilot {

struct Look {
  BitConfig bits;
  double relative = 0;  ///< this look's cost over uniform 8-bit; the stem belongs to the first look
  float confidence = 0;
  int index = 0;    ///< class it would predict
  int anchor = -1;  ///< whose temperature holds: the anchor itself, or the one that offsets moved; -1 if none
};

/// The anchor's name if the look is one, else to_string() of its bits.
std::string name_of(const Look& look, const ModelData& model);

/// One picture's decision: what was looked at, what it cost, what it says.
struct Decision {
  std::vector<Look> looks;
  std::vector<LayerDistribution> distributions;  ///< of the look that made the prediction, one per weight layer
  std::vector<float> scores;                     ///< of the last look
  int label = 0;
  float confidence = 0;
  float severity = 0;                              ///< not a number where the picture was not observed
  std::string_view fallback;                       ///< "" or "out_of_range"
  double bops = 0, policy_bops = 0, relative = 0;  ///< of all looks (stem once), the policy and the statistics
  double priced = 0;       ///< relative cost in the unit that the policy was priced in (PolicyParameters::cost_unit); BOPs: = relative
  bool calibrated = true;                          ///< every look's configuration is an anchor
  double policy_ms = 0, backbone_ms = 0;
};

/// What decides: the learned policy, or one fixed configuration.
struct DecisionRule {
  std::optional<BitConfig> fixed;  ///< set: no policy, this configuration for every picture
  double lambda = 0;               ///< of the policy
  bool guard = true;               ///< look at every picture's statistics: out of range runs the safe anchor.  Off: only what choices read
};

/// Engine and policy together, for one stream.  run, eval and the environment all decide through this class.  A model
/// without a policy runs its safe anchor; a picture whose statistics are out of range does so too, with the policy's
/// operations billed.  Not thread-safe.  Allocates nothing for configurations that it saw before, once it went every way
/// through the policy.
class AdaptiveSession {
 public:
  explicit AdaptiveSession(std::shared_ptr<const Model> model);
  ~AdaptiveSession();
  AdaptiveSession(AdaptiveSession&&) noexcept;
  /// Valid until the next call.
  const Decision& decide(const Prepared& picture, const DecisionRule& rule);
  const CostTable& cost() const;
  /// Whether a decision by this rule needs Prepared::statistics.
  bool reads_statistics(const DecisionRule& rule) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitpilot
