#include "data/batch_loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "data/degrade.h"
#include "runtime/core/error.h"
#include "runtime/core/random.h"

namespace bitpilot {
namespace {

constexpr int kMostShift = 2;

/// Horizontal flip with probability 1/2 and a shift of up to 2 px each way, edge replicated.
Image augmented(const Image& src, Random& random) {
  const bool flip = random.uniform() < 0.5;
  const int dx = static_cast<int>(random.below(2 * kMostShift + 1)) - kMostShift,
            dy = static_cast<int>(random.below(2 * kMostShift + 1)) - kMostShift;
  Image dst(src.height, src.width, src.channels);
  const auto channels = static_cast<std::size_t>(src.channels);
  std::uint8_t* out = dst.pixels.data();
  for (int y = 0; y < src.height; ++y) {
    const std::uint8_t* row = src.view().row(std::clamp(y - dy, 0, src.height - 1));
    for (int x = 0; x < src.width; ++x, out += channels) {
      const int from = std::clamp(x - dx, 0, src.width - 1);
      std::copy_n(row + static_cast<std::size_t>(flip ? src.width - 1 - from : from) * channels, channels, out);
    }
  }
  return dst;
}

}  // namespace

Sample make_sample(const ImageSet& set, std::size_t index, std::uint64_t epoch, const Mixture& mixture,
                   const Shape& input, bool stretch, const LoaderOptions& options) {
  const std::uint64_t key = epoch * set.keys() + set.key(index);
  Image image = set.image(index);
  if (options.augment) {
    Random random(options.seed, options.purpose + "/augment", key);
    image = augmented(image, random);
  }
  Sample sample;
  sample.label = set.label(index);
  sample.index = index;
  sample.severity = set.severity(index);
  sample.family = set.family(index).empty() ? "clean" : set.family(index);
  if (options.degrade) {
    const Draw draw = mixture.draw(options.seed, options.purpose, key, options.held_out);
    if (draw.severity > 0 && applies_to_channels(draw.family, image.channels)) {
      image = degrade(image, draw.family, draw.severity, draw.seed);
      sample.family = draw.family;
      sample.severity = draw.severity;
    }
  }
  sample.prepared = preprocess(image.view(), input, stretch);
  return sample;
}

/// Workers take batches in order and leave them in `done`, at most `ahead` beyond the one that next() waits for.
struct BatchLoader::Impl {
  std::shared_ptr<const ImageSet> set;
  Mixture mixture;
  Shape input;
  bool stretch = true;
  LoaderOptions options;

  struct Batch {
    std::vector<Sample> samples;
    std::exception_ptr failure;
  };
  std::mutex mutex;
  std::condition_variable work_ready, batch_ready;
  std::vector<std::size_t> order;
  std::uint64_t epoch = 0, generation = 0;  // a batch of an earlier start() is thrown away
  std::size_t batch = 1, first = 0, taken = 0, given = 0, batches = 0;
  std::map<std::size_t, Batch> done;
  bool stopping = false;
  std::vector<std::thread> workers;

  std::size_t ahead() const { return workers.size() + 2; }

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      work_ready.wait(lock, [&] { return stopping || (taken < batches && taken < given + ahead()); });
      if (stopping) return;
      const std::size_t number = taken++;
      const std::uint64_t started = generation, this_epoch = epoch;
      const std::size_t begin = first + number * batch, end = std::min(begin + batch, order.size());
      const std::vector<std::size_t> indices(order.begin() + static_cast<std::ptrdiff_t>(begin),
                                             order.begin() + static_cast<std::ptrdiff_t>(end));
      lock.unlock();
      Batch result;
      try {
        for (const std::size_t index : indices)
          result.samples.push_back(make_sample(*set, index, this_epoch, mixture, input, stretch, options));
      } catch (...) {
        result.failure = std::current_exception();
      }
      lock.lock();
      if (started != generation) continue;
      done.emplace(number, std::move(result));
      batch_ready.notify_all();
    }
  }
};

BatchLoader::BatchLoader(std::shared_ptr<const ImageSet> set, const Mixture& mixture, Shape input, bool stretch,
                         LoaderOptions options)
    : impl_(std::make_unique<Impl>()) {
  impl_->set = std::move(set);
  impl_->mixture = mixture;
  impl_->input = input;
  impl_->stretch = stretch;
  impl_->options = std::move(options);
  const int threads = std::clamp(impl_->options.threads, 1, 256);
  const std::lock_guard lock(impl_->mutex);  // ahead() must not see a growing list
  for (int i = 0; i < threads; ++i) impl_->workers.emplace_back([impl = impl_.get()] { impl->work(); });
}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->work_ready.notify_all();
  for (std::thread& worker : impl_->workers) worker.join();
}

std::size_t BatchLoader::size() const { return impl_->set->size(); }

void BatchLoader::start(std::uint64_t epoch, std::size_t batch, std::size_t position) {
  std::vector<std::size_t> order(impl_->set->size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (impl_->options.shuffle) {
    Random random(impl_->options.seed, impl_->options.purpose + "/order", epoch);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  }
  if (batch == 0 || position > order.size())
    throw Error(ExitCode::kBug,
                "an epoch of " + std::to_string(order.size()) + " samples cannot start at " + std::to_string(position) +
                    " in batches of " + std::to_string(batch),
                "BatchLoader::start", "report this fault");
  const std::lock_guard lock(impl_->mutex);
  ++impl_->generation;
  impl_->epoch = epoch;
  impl_->batch = batch;
  impl_->first = position;
  impl_->taken = impl_->given = 0;
  impl_->batches = (order.size() - position + batch - 1) / batch;
  impl_->order = std::move(order);
  impl_->done.clear();
  impl_->work_ready.notify_all();
}

std::vector<Sample> BatchLoader::next() {
  std::unique_lock lock(impl_->mutex);
  if (impl_->given >= impl_->batches) return {};
  impl_->batch_ready.wait(lock, [&] { return impl_->done.contains(impl_->given); });
  Impl::Batch result = std::move(impl_->done.extract(impl_->given).mapped());
  ++impl_->given;
  impl_->work_ready.notify_all();
  if (result.failure) std::rethrow_exception(result.failure);
  return std::move(result.samples);
}

}  // namespace bitpilot
