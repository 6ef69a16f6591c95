#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/sources/media_process.h"
#include "runtime/sources/source.h"

namespace bitpilot {

/// Which pictures of a data set, and what is done to them first.
struct SetRequest {
  std::string data;              ///< folder or name of the set
  std::string mixture = "none";  ///< "test", "seen", "held-out", "clean" or "none", see docs/cli.md
  std::uint64_t seed = 0;
  std::uint64_t limit = 0;  ///< at most so many, spread evenly over the set; 0: all
};

/// What a data set says of itself.
struct SetInfo {
  std::string name, hash;
  std::string mixture;      ///< "sha256:…" of the mixture drawn from, "none" where the pictures are as they are
  std::uint64_t count = 0;  ///< pictures that will come
  std::vector<std::string> labels;
};

/// The test pictures of a data set, in order, degraded where asked, decoded and degraded by bitpilot-media.
class SetSource : public Source {
 public:
  SetSource(const SetRequest& request, const SourceOptions& options, const Stop& stop);
  /// Opens the set.  Throws the Error that opening gave, or Error(kMachine) if bitpilot-media does not manage.  Count 0
  /// on a stop.
  const SetInfo& info();
  SourceEvent next() override;
  bool live() const override { return false; }
  const std::string& name() const override { return request_.data; }

 private:
  bool open();
  SourceEvent skip(const std::string& why);

  SetRequest request_;
  SourceOptions options_;
  MediaProcess process_;
  SetInfo info_;
  bool opened_ = false, crashed_here_ = false;
  std::uint64_t answered_ = 0;
};

}  // namespace bitpilot
