#include "runtime/commands/policy_evidence.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using bitpilot::policy_evidence;
using nlohmann::json;

TEST_CASE("commands/policy_evidence: gains stand with their intervals, shares as shares, and the gate with its figures") {
  const json report = json::parse(R"({"sets": {"seen": {
    "default": {"relative": 0.1, "policy_share": 0.02, "accuracy": 0.9, "hull": {"gain": {"mean": 0.0079, "ci95": [0.0051, 0.0108]}},
                "choices": {"serving_5_percent": 2, "same_histogram_at_random": {"accuracy": 0.89, "gain": {"mean": 0.01, "ci95": [0.008, 0.012]}}}},
    "ablations": {"without_first_look_network": {"share_of_gain": 1.05}},
    "shuffles": {"scores": {"gain_over_hull": -0.0004, "gain_over_hull_ci95": [-0.0005, -0.0003]}, "both": {"gain_over_hull": -0.0043}}, "budget": {"mean_deviation": 0.008, "largest_deviation": 0.0146}}}})");
  const json log = json::parse(R"({"offsets": {"teacher": "simulator", "kept": false, "rank_correlation": 0.249,
    "reward_gain": {"mean": -0.0055, "ci95": [-0.0115, 0.0003]}}})");
  const std::string text = policy_evidence(report, log);
  for (const char* shown : {"+0.79 [+0.51, +1.08]", "+1.00 [+0.80, +1.20]", "105.0 %", "-0.43", "2.0 %", "1.5 %", "-0.04 [-0.05, -0.03]", "dropped",
                            "-0.55 [-1.15, +0.03]", "taught by the simulator", "0.25"}) {
    INFO(shown);
    CHECK(text.find(shown) != std::string::npos);
  }
  CHECK(text.find("threshold cascade") == std::string::npos);  // a report without that figure has no such line
  CHECK(policy_evidence(json::object(), json()).empty());
  CHECK(policy_evidence(report, json()).find("offsets") == std::string::npos);
}
