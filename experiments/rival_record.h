#pragma once

#include <nlohmann/json.hpp>

#include "experiments/rival_learners.h"

namespace bitpilot {

/// The evidence for a learned rival: on the judge half of validation and on the three test sets accuracy with its interval, mean relative
/// cost, loss and reward, and by paired bootstrap over pictures, at the cost that the rival really had on that set, its gain over
///   hull         the upper hull of the model's anchors
///   cascade      the threshold cascade whose pair is the best one on validation at the rival's cost there
///   random_bits  bits drawn at random for every picture and layer at equal mean cost, executed by the engine
/// Schema "bitpilot.rival/1".
nlohmann::json rival_record(const RivalGround& ground, const RivalRequest& request, const LearnedRival& rival);

}  // namespace bitpilot
