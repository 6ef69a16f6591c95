#include "experiments/training_data.h"

#include <algorithm>
#include <cstring>

namespace bitpilot {
namespace {

class FirstImages : public ImageSet {
 public:
  FirstImages(std::shared_ptr<const ImageSet> set, std::size_t count) : set_(std::move(set)), count_(count) {}
  std::string name() const override { return set_->name(); }
  std::size_t size() const override { return count_; }
  Image image(std::size_t i) const override { return set_->image(i); }
  int label(std::size_t i) const override { return set_->label(i); }
  const std::vector<std::string>& labels() const override { return set_->labels(); }
  std::string source(std::size_t i) const override { return set_->source(i); }
  std::string family(std::size_t i) const override { return set_->family(i); }
  int severity(std::size_t i) const override { return set_->severity(i); }
  std::string hash() const override { return set_->hash() + "/first " + std::to_string(count_); }

 private:
  std::shared_ptr<const ImageSet> set_;
  std::size_t count_;
};

}  // namespace

std::shared_ptr<const ImageSet> first_images(std::shared_ptr<const ImageSet> set, std::size_t count) {
  if (count == 0 || count >= set->size()) return set;
  return std::make_shared<FirstImages>(std::move(set), count);
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
  options.purpose = "evaluation";
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

}  // namespace bitpilot
