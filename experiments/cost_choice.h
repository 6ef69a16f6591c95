#pragma once

#include <string>

#include "runtime/core/cost.h"
#include "runtime/deciding_times.h"

namespace bitpilot {

/// What --cost names: what a policy or a search pays for.
struct CostChoice {
  CostTable table;
  DecidingTimes deciding;  ///< unit "ms"
  std::string hash;        ///< of the profile; empty for BOPs
};

/// "bops", or "latency:FILE" with a profile of this machine (`bitpilot profile`).  Throws Error(kUsage) on anything else, Error(kData) on a
/// profile of another machine or network.
CostChoice read_cost(const std::string& text, const Network& network, const BitSpace& space);

/// The form alone, before any work: throws as read_cost does on a wrong form, Error(kData) if the file cannot be read.
void check_cost(const std::string& text);

}  // namespace bitpilot
