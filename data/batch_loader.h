#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/image_set.h"
#include "data/mixture.h"
#include "data/preprocess.h"

namespace bitpilot {

/// One sample ready for the network, with what training (never the policy's state) may know of it.
struct Sample {
  Prepared prepared;
  int label = 0;
  std::size_t index = 0;  ///< in the set
  std::string family;     ///< "clean" or a degradation family
  int severity = 0;
};

struct LoaderOptions {
  std::uint64_t seed = 0;
  std::string purpose = "train";  ///< keys the random streams
  bool shuffle = true;            ///< permutation of the epoch, keyed by (seed, purpose, epoch)
  bool augment = true;            ///< horizontal flip and shift up to 2 px (before degrading), edge replicated
  bool held_out = false;          ///< draw from the held-out families
  bool degrade = true;            ///< false: pictures as they are
  int threads = 1;
};

/// Batches of mixed-quality samples in an order and with contents that depend on (seed, purpose, epoch, position) only,
/// not on threads.
class BatchLoader {
 public:
  BatchLoader(std::shared_ptr<const ImageSet> set, const Mixture& mixture, Shape input, bool stretch,
              LoaderOptions options);
  ~BatchLoader();
  std::size_t size() const;
  /// Starts (or restarts) an epoch at `position` samples into it; the last batch may be short.
  void start(std::uint64_t epoch, std::size_t batch, std::size_t position = 0);
  /// The next batch, in order; empty at the end of the epoch.
  std::vector<Sample> next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The sample that a loader with these options gives for (epoch, index).  Its draws are keyed by (seed, purpose, epoch,
/// the set's key of the picture).
Sample make_sample(const ImageSet& set, std::size_t index, std::uint64_t epoch, const Mixture& mixture,
                   const Shape& input, bool stretch, const LoaderOptions& options);

}  // namespace bitpilot
