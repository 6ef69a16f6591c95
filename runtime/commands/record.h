#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/commands/judge_loop.h"

namespace bitpilot {

/// Writes decision records (runtime/format/decision.schema.json) of one model.
class DecisionLines {
 public:
  explicit DecisionLines(std::shared_ptr<const Model> model);
  /// The record of a picture as one JSON line, without line end.  Quality's score is left out where no policy estimated
  /// it, and every number that is not finite; text that is not UTF-8 gets replacement characters.
  std::string line(const JudgedPicture& judged, std::uint64_t sequence) const;

 private:
  std::shared_ptr<const Model> model_;
  std::string family_ = "logistic";  ///< of the policy's distributions
};

/// The summary record of a run; `records`: decisions; `output_errors`: those that could not be written.
std::string summary_line(const JudgeCounts& counts, std::uint64_t records, std::uint64_t output_errors);

}  // namespace bitpilot
