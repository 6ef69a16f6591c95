#pragma once

#include <memory>
#include <vector>

#include "data/batch_loader.h"
#include "env/outcomes.h"
#include "experiments/recipe.h"
#include "quant/export.h"
#include "quant/training_loop.h"

namespace bitpilot {

/// The first `count` pictures of a set (all if 0 or more than there are).  Of a set whose classes stand one behind the other, in a fixed
/// mixed order: the first pictures, and the first batch of a calibration, must know every class.  Every picture keeps its key: the order
/// changes none of its degraded copies, so that `bitpilot eval` of the whole set judges the same ones.
std::shared_ptr<const ImageSet> first_images(std::shared_ptr<const ImageSet> set, std::size_t count);

/// Samples as tensors: src float [N, C, H, W] in [0, 1] (channels last), labels int64 [N].
TrainingBatch to_batch(const std::vector<Sample>& samples, const Shape& input);

/// The pictures that a supernet is calibrated on, always in the same order: degraded, not augmented.
CalibrationBatches calibration_batches(const Recipe& recipe, const std::shared_ptr<const ImageSet>& train_set, const Shape& input);

/// Which pictures an evaluation is made on.  All draws are keyed by the fixed evaluation seed, so every model meets the same pictures.
enum class EvaluationSet { kSeen, kHeldOut, kClean };
inline constexpr EvaluationSet kEvaluationSets[] = {EvaluationSet::kSeen, EvaluationSet::kHeldOut, EvaluationSet::kClean};
const char* evaluation_set_name(EvaluationSet set);
/// Loader options of an evaluation set: no shuffling, no augmentation, seed 1, kEvaluationPurpose: the draws of `bitpilot eval --mixture`.
LoaderOptions evaluation_options(EvaluationSet set);
std::vector<Sample> evaluation_samples(const ImageSet& set, EvaluationSet which, const Mixture& mixture, const Shape& input, bool stretch);

/// Pictures of a split, each in several degraded draws of the standard mixture.
struct Draws {
  std::size_t count = 0;
  SampleAt at;
};
/// `draws` draws of the first pictures of a split (the recipe says how many), keyed by the recipe's seed and `purpose`.
Draws draws_of(const Recipe& recipe, const ModelData& model, const std::shared_ptr<const ImageSet>& split, const char* purpose, int draws);

}  // namespace bitpilot
