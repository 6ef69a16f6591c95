#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "experiments/rival_ground.h"

namespace bitpilot {

/// What a policy does with pictures that it is shown.
using Decide = std::function<PictureOutcomes(const KnownPictures&)>;

/// Reward on the pictures of `judge` over what learning has cost so far.
class LearningCurve {
 public:
  /// A point is taken at the first update behind each of `points` equal shares of `evaluations`.
  LearningCurve(const RivalGround& ground, std::int64_t evaluations, int points);
  /// `learned`: makes the policy as it stands; called only where a point is due.
  void update(std::int64_t spent, const std::function<Decide()>& learned);
  void add(std::int64_t spent, const Decide& decide);
  /// Seconds of the processor since the start, all threads together, without those spent on points: what else the machine did meanwhile
  /// does not count.
  double seconds() const;
  /// From now on learning pays for its passes in this many seconds each, because a table answered them.
  void charge_passes(double seconds) { pass_seconds_ = seconds; }
  const nlohmann::json& points() const { return points_; }

 private:
  const RivalGround& ground_;
  std::int64_t step_, due_;
  double pass_seconds_ = 0, paused_ = 0;
  std::clock_t begin_ = std::clock();
  nlohmann::json points_ = nlohmann::json::array();
};

struct RivalRequest {
  std::string method;
  std::int64_t evaluations = 0;  ///< 0: the method's default
  std::uint64_t seed = 0;
};

struct LearnedRival {
  Decide decide;
  std::int64_t evaluations = 0;  ///< passes through the backbone that learning asked for, simulated ones included
  double seconds = 0;            ///< of learning, with the measured time of passes that a table answered
  nlohmann::json curve, details;
};

/// Names that --method takes, in the order of their help.
const std::vector<std::string>& rival_methods();

/// Learns by the method's name; `ground` must outlive what it decides by.  Throws Error(kBug) on a name that is none of rival_methods().
LearnedRival learn_rival(const RivalGround& ground, const RivalRequest& request);

}  // namespace bitpilot
