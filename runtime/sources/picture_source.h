#pragma once

#include <string>
#include <vector>

#include "runtime/sources/media_process.h"
#include "runtime/sources/source.h"

namespace bitpilot {

/// The frame that a media message carries.  Its capture time is believed only where it can be true.
Frame frame_from(MediaEvent&& event, const std::string& source);

/// Pictures by path, in order, all of them.  While one is judged the next ones are being decoded.  A picture on which
/// the decoder crashes (twice) or hangs is skipped like one that cannot be read.
class PictureSource : public Source {
 public:
  PictureSource(const SourceSpec& spec, std::vector<std::string> paths, const SourceOptions& options, const Stop& stop);
  SourceEvent next() override;
  bool live() const override { return false; }
  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return paths_.size(); }

 private:
  SourceEvent skip(const std::string& why);
  SourceEvent answered(MediaEvent&& event);
  void ask();

  std::string name_;
  std::vector<std::string> paths_;
  SourceOptions options_;
  MediaProcess process_;
  std::size_t asked_ = 0, answered_ = 0;
  bool crashed_here_ = false;
};

}  // namespace bitpilot
