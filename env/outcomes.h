#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/batch_loader.h"
#include "runtime/core/cost.h"
#include "runtime/engine/engine.h"

namespace bitpilot {

/// Full information: every anchor executed with integer codes on every picture of a split.  From it the return of any
/// decision is known exactly, so policies learn and are judged without running the network again.
struct OutcomeTable {
  std::size_t anchors = 0, classes = 0, stem_channels = 0;
  std::vector<float> scores;            ///< [N][anchors][classes], before temperature
  std::vector<float> statistics;        ///< [N][kStatisticsCount]
  std::vector<std::int32_t> stem_sums;  ///< [N][stem_channels]
  std::vector<std::int32_t> labels;     ///< [N]
  std::vector<std::uint16_t> family;    ///< [N] index in `families`
  std::vector<std::uint8_t> severity;   ///< [N]
  std::vector<std::uint32_t> index;     ///< [N] position of the source picture in its set
  std::vector<std::string> families;    ///< names, "clean" included

  std::size_t size() const { return labels.size(); }
  std::span<const float> scores_of(std::size_t sample, std::size_t anchor) const {
    return {scores.data() + (sample * anchors + anchor) * classes, classes};
  }
  ImageStatistics statistics_of(std::size_t sample) const;
  std::span<const std::int32_t> stem_of(std::size_t sample) const {
    return {stem_sums.data() + sample * stem_channels, stem_channels};
  }
  bool correct(std::size_t sample, std::size_t anchor) const;
  /// Rows [from, to) as a table of their own.
  OutcomeTable rows(std::size_t from, std::size_t to) const;
  bool operator==(const OutcomeTable&) const = default;
};

/// Both tables' rows, one below the other.  Throws Error(kBug) if they are of different models.
OutcomeTable joined(const OutcomeTable& first, const OutcomeTable& second);

/// Picture number i, prepared for the network.  Must be callable from several threads.
using SampleAt = std::function<Sample(std::size_t)>;

/// `draws` corruption draws of each picture of a set: sample i is picture i % size in draw i / size.  No augmentation,
/// no shuffling.
SampleAt mixed_samples(std::shared_ptr<const ImageSet> set, const Mixture& mixture, const ModelData& model,
                       LoaderOptions options);

/// Runs samples 0 .. count - 1 through every anchor, on `threads` threads with a Session each.  The result does not
/// depend on `threads`.
OutcomeTable roll_out(std::shared_ptr<const Model> model, std::size_t count, const SampleAt& sample_at,
                      int threads = 2);

/// Key of a table in a cache: weights, anchors and calibration of the model (not its policy or temperatures) and what
/// the samples are.
std::string outcome_key(const ModelData& model, const std::string& samples);
/// Small binary cache.  load returns false when the file is missing, of another key or damaged.
void save_outcomes(const OutcomeTable& table, const std::string& key, const std::string& path);
bool load_outcomes(const std::string& path, const std::string& key, OutcomeTable& table);

/// Relative cost of each anchor as a first look (whole pass) and as a second one (from the stem's code).
struct AnchorCosts {
  std::vector<double> first, second;
};
AnchorCosts anchor_costs(const ModelData& model, const CostTable& cost);

}  // namespace bitpilot
