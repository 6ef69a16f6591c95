#include "experiments/training_data.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include "runtime/core/random.h"

namespace bitpilot {

namespace {

/// Whether the classes stand one behind the other, as in a folder with one folder per class.
bool class_by_class(const ImageSet& set) {
  for (std::size_t i = 1; i < set.size(); ++i)
    if (set.label(i) < set.label(i - 1)) return false;
  return set.size() > 0 && set.label(0) < set.label(set.size() - 1);
}

}  // namespace

std::shared_ptr<const ImageSet> first_images(std::shared_ptr<const ImageSet> set, std::size_t count) {
  const bool mix = class_by_class(*set);
  if (!mix && (count == 0 || count >= set->size())) return set;
  std::vector<std::size_t> indices(set->size());
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  if (mix) {
    Random random(0, "classes mixed");
    for (std::size_t i = indices.size() - 1; i > 0; --i) std::swap(indices[i], indices[random.below(i + 1)]);
  }
  if (count > 0 && count < indices.size()) indices.resize(count);
  const std::string name = set->name();
  return std::make_shared<SubsetImageSet>(std::move(set), std::move(indices), name, SubsetKeys::kBase);
}

TrainingBatch to_batch(const std::vector<Sample>& samples, const Shape& input) {
  const auto n = static_cast<std::int64_t>(samples.size());
  torch::Tensor codes = torch::empty({n, input.height, input.width, input.channels}, torch::kByte);
  torch::Tensor labels = torch::empty({n}, torch::kLong);
  const std::size_t bytes = static_cast<std::size_t>(input.height) * input.width * input.channels;
  for (std::int64_t i = 0; i < n; ++i) {
    std::memcpy(codes.data_ptr<std::uint8_t>() + static_cast<std::size_t>(i) * bytes, samples[i].prepared.codes.data(), bytes);
    labels.data_ptr<std::int64_t>()[i] = samples[i].label;
  }
  return {codes.to(torch::kFloat).div_(255.0).permute({0, 3, 1, 2}), labels};
}

CalibrationBatches calibration_batches(const Recipe& recipe, const std::shared_ptr<const ImageSet>& train_set, const Shape& input) {
  const auto set = first_images(train_set, static_cast<std::size_t>(recipe.calibration_images));
  LoaderOptions options;
  options.seed = recipe.seed;
  options.purpose = "calibration";
  options.shuffle = options.augment = false;
  return [set, options, input](const std::function<void(const torch::Tensor&)>& use) {
    BatchLoader loader(set, standard_mixture(), input, /*stretch=*/true, options);
    loader.start(0, 512);
    for (std::vector<Sample> samples = loader.next(); !samples.empty(); samples = loader.next()) use(to_batch(samples, input).src);
  };
}

const char* evaluation_set_name(EvaluationSet set) {
  switch (set) {
    case EvaluationSet::kSeen: return "seen";
    case EvaluationSet::kHeldOut: return "held_out";
    case EvaluationSet::kClean: return "clean";
  }
  return "";
}

LoaderOptions evaluation_options(EvaluationSet set) {
  LoaderOptions options;
  options.seed = 1;
  options.purpose = kEvaluationPurpose;
  options.shuffle = options.augment = false;
  options.held_out = set == EvaluationSet::kHeldOut;
  options.degrade = set != EvaluationSet::kClean;
  return options;
}

std::vector<Sample> evaluation_samples(const ImageSet& set, EvaluationSet which, const Mixture& mixture, const Shape& input, bool stretch) {
  const LoaderOptions options = evaluation_options(which);
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < set.size(); ++i) samples.push_back(make_sample(set, i, 0, mixture, input, stretch, options));
  return samples;
}

Draws draws_of(const Recipe& recipe, const ModelData& model, const std::shared_ptr<const ImageSet>& split, const char* purpose, int draws) {
  const auto set = first_images(split, static_cast<std::size_t>(recipe.evaluation_images));
  LoaderOptions options;
  options.seed = recipe.seed;
  options.purpose = purpose;
  options.shuffle = options.augment = false;
  return {set->size() * static_cast<std::size_t>(draws), mixed_samples(set, standard_mixture(), model, options)};
}

}  // namespace bitpilot
