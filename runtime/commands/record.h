#pragma once

#include <cstdint>
#include <string>

#include "runtime/commands/judge_loop.h"

namespace bitpilot {

/// The decision record of a picture as one JSON line, without line end.
std::string decision_line(const JudgedPicture& judged, const Model& model, std::uint64_t sequence);
/// The summary record of a run; `output_errors`: records that could not be written.
std::string summary_line(const JudgeCounts& counts, std::uint64_t output_errors);

}  // namespace bitpilot
