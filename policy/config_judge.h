#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "data/batch_loader.h"
#include "runtime/core/bit_width.h"
#include "runtime/engine/engine.h"

namespace bitpilot {

/// A configuration judged on a fixed set of pictures.
struct SearchPoint {
  BitConfig config;
  double relative = 0;  ///< cost over uniform 8-bit
  double loss = 0;      ///< mean clipped cross-entropy
  double accuracy = 0;  ///< 0..1
};

/// Fills loss and accuracy of a configuration.
using ConfigJudge = std::function<SearchPoint(const BitConfig&)>;

/// Runs configurations on `samples` with the integer engine, on `threads` threads.
ConfigJudge engine_judge(std::shared_ptr<const Model> model, std::shared_ptr<const std::vector<Sample>> samples,
                         int threads = 2);

/// Order by which configurations are told apart.
struct ConfigOrder {
  bool operator()(const BitConfig& a, const BitConfig& b) const;
};

/// A judge that answers repeated questions from memory.  Copies share it.
class RememberingJudge {
 public:
  explicit RememberingJudge(ConfigJudge judge);
  SearchPoint operator()(const BitConfig& config) const;
  /// Different configurations judged so far.
  std::size_t evaluations() const { return memory_->size(); }

 private:
  ConfigJudge judge_;
  std::shared_ptr<std::map<BitConfig, SearchPoint, ConfigOrder>> memory_;
};

}  // namespace bitpilot
