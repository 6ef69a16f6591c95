#include "experiments/cost_choice.h"

#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/kernels/kernels.h"
#include "runtime/profile.h"

namespace bitpilot {
namespace {

constexpr std::string_view kLatency = "latency:";

/// The profile that a latency cost names; empty for BOPs.
std::string profile_of(const std::string& text) {
  if (text == "bops") return "";
  if (!text.starts_with(kLatency) || text.size() == kLatency.size())
    throw Error(ExitCode::kUsage, "--cost takes bops or latency:FILE, not \"" + text + "\"", "--cost",
                "measure this machine with `bitpilot profile --out profile.json`, then give --cost latency:profile.json");
  return text.substr(kLatency.size());
}

}  // namespace

void check_cost(const std::string& text) {
  if (const std::string file = profile_of(text); !file.empty()) read_file(file);
}

CostChoice read_cost(const std::string& text, const Network& network, const BitSpace& space) {
  const std::string file = profile_of(text);
  if (file.empty()) return {bops_table(network, space), {}, ""};
  const std::string bytes = read_file(file);
  const Profile profile = parse_profile(bytes, file, network, space, this_machine(active_kernels(), 1));
  return {profile.cost, profile.deciding, sha256(bytes)};
}

}  // namespace bitpilot
