#pragma once

#include <memory>
#include <optional>

#include "data/preprocessor.h"
#include "runtime/adaptive.h"
#include "runtime/commands/regions.h"
#include "runtime/sources/source.h"

namespace bitpilot {

/// One picture, or part of one, with everything that is known of it once it is judged.
struct JudgedPicture {
  Frame frame;                      ///< without its pixels
  std::size_t part = 0, parts = 1;  ///< of a picture in tiles
  std::size_t source = 0;
  Decision decision;
  ImageStatistics statistics;
  std::optional<Region> region;
  double lambda = 0;
  bool guard = true;
  double age_ms = 0;         ///< from the frame's capture to the decision
  double preprocess_ms = 0;  ///< channels, size, range and, where they are taken, statistics
  double total_ms = 0;       ///< preprocess_ms, stem, policy and looks; neither decoding nor waiting nor writing records
};

/// Judges pictures, one at a time, for one stream: preprocessing, decision, times.  Its working memory is kept.  Not thread-safe.
class PictureJudge {
 public:
  explicit PictureJudge(std::shared_ptr<const Model> model) : model_(std::move(model)), session_(model_) {}
  /// `region` must lie inside.  `features`: takes the picture's statistics though nothing is decided by them.
  JudgedPicture judge(const Frame& frame, const std::optional<Region>& region, const DecisionRule& rule, bool features = false);

 private:
  std::shared_ptr<const Model> model_;
  AdaptiveSession session_;
  Preprocessor preprocessor_;
  Prepared prepared_;
};

}  // namespace bitpilot
