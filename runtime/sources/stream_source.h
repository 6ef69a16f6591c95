#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "runtime/core/random.h"
#include "runtime/sources/frozen_watch.h"
#include "runtime/sources/media_process.h"
#include "runtime/sources/source.h"

namespace bitpilot {

/// Pause before the `failures`-th attempt in a row (1 = first): 0.5 s doubling to 5 s, and up to a fifth more, so that
/// many cameras do not come back at one moment.
std::chrono::milliseconds reconnect_pause(std::int64_t failures, Random& random);

/// A video file (read whole; when its decoder dies it goes on behind the last frame, once for each place) or a live
/// stream (comes back for ever, or `reconnect_attempts` times in a row).  Of a live source, frames before the first key
/// frame and those of a frozen camera are held back and counted.
class StreamSource : public Source {
 public:
  StreamSource(const SourceSpec& spec, const SourceOptions& options, const Stop& stop);
  SourceEvent next() override;
  bool live() const override { return spec_.live(); }
  const std::string& name() const override { return spec_.name; }

 private:
  bool open();
  SourceEvent lost(const std::string& why);
  SourceEvent broken_file(const std::string& why);
  SourceEvent frame(MediaEvent&& event);
  /// A frame that is not handed on.
  SourceEvent held_back(const std::string& text, bool frozen);

  SourceSpec spec_;
  SourceOptions options_;
  const Stop& stop_;
  MediaProcess process_;
  Random random_;
  FrozenWatch watch_;
  bool open_ = false, fresh_ = false, ended_ = false, announced_ = false;
  std::uint64_t frames_ = 0, held_back_ = 0;
  std::uint64_t broke_at_ = ~std::uint64_t{0};  ///< frame at which the decoder of a file last died
  std::int64_t failures_ = 0;
};

}  // namespace bitpilot
