#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bitpilot {

/// What a finished run found out about its policy, for people: the gains at the default price on every evaluation set, what each part of the
/// policy brings, the shuffle tests, how many configurations serve, the policy's own share of the cost, budgets, and the gate of the offsets.
/// `report`: "policy" of a run's summary.json; `log`: its policy.json, null without one.  What a report from before lacks is left out.
std::string policy_evidence(const nlohmann::json& report, const nlohmann::json& log);

}  // namespace bitpilot
