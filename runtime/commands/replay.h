#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "runtime/engine/engine.h"
#include "runtime/sources/stop.h"

namespace bitpilot {

struct ReplayResult {
  std::uint64_t compared = 0;
  std::uint64_t different = 0;   ///< other predictions, bits or confidences
  std::uint64_t live = 0;        ///< of live sources: cannot be seen again
  std::uint64_t unread = 0;      ///< whose picture is gone
  std::string first_difference;  ///< "photos/a.png: …"
};

/// Judges the pictures that a decisions file names once more, each with its recorded lambda and region (and `fixed`, if
/// the run had --bits), and compares.  Throws Error(kData) if the file is none, or comes from another model.
ReplayResult replay(const std::string& path, std::shared_ptr<const Model> model, const std::optional<BitConfig>& fixed,
                    bool quiet, Stop& stop);

}  // namespace bitpilot
