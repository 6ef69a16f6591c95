#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/image_statistics.h"

namespace bitpilot {

/// What a look let the policy see: the scores' summary, never whether they were right.
struct SeenLook {
  int anchor = 0;             ///< which anchor was looked at (its configuration may have been moved by offsets)
  double position = 0;        ///< t1 on the anchor path, 0..1
  float top = 0, second = 0;  ///< two largest class probabilities at the anchor's temperature
  float margin = 0;           ///< top - second
  float entropy = 0;          ///< nats
  std::vector<float> scores;  ///< class scores, before temperature
};

/// State of the bit-width decision process.  It has no member for the label or the degradation on purpose: they cannot
/// leak in.
struct State {
  ImageStatistics statistics;
  std::vector<std::int32_t> stem_sums;  ///< [stem channels] sums of the stem's 8-bit codes
  double lambda = 0;                    ///< price of relative cost in units of task loss
  std::optional<SeenLook> look;         ///< set after the first look
};

/// Summary of a look's scores at a temperature.
SeenLook summarise_look(int anchor, int anchors, std::vector<float> scores, float temperature);

}  // namespace bitpilot
