#pragma once

#include <memory>
#include <vector>

#include "data/batch_loader.h"
#include "quant/training_loop.h"

namespace bitpilot {

/// The first `count` pictures of a set (all if 0 or more than there are).
std::shared_ptr<const ImageSet> first_images(std::shared_ptr<const ImageSet> set, std::size_t count);

/// Samples as tensors: src float [N, C, H, W] in [0, 1] (channels last), labels int64 [N].
TrainingBatch to_batch(const std::vector<Sample>& samples, const Shape& input);

/// Which pictures an evaluation is made on.  All draws are keyed by the fixed evaluation seed, so every model meets the same pictures.
enum class EvaluationSet { kSeen, kHeldOut, kClean };
const char* evaluation_set_name(EvaluationSet set);
/// Loader options of an evaluation set: no shuffling, no augmentation, seed 1, purpose "evaluation".
LoaderOptions evaluation_options(EvaluationSet set);
std::vector<Sample> evaluation_samples(const ImageSet& set, EvaluationSet which, const Mixture& mixture, const Shape& input, bool stretch);

}  // namespace bitpilot
