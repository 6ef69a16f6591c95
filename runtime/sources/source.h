#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/error.h"
#include "runtime/core/image.h"
#include "runtime/sources/stop.h"

namespace bitpilot {

/// One picture on its way to a decision.
struct Frame {
  Image image;
  std::string source;       ///< the picture's or video's path, or the stream's address without credentials
  std::uint64_t index = 0;  ///< of the picture in its folder or set, of the frame in its stream
  std::chrono::steady_clock::time_point captured;
  double decode_ms = 0;
  std::uint64_t dropped_before = 0;  ///< frames of this source dropped since the one before
  int label = -1;                    ///< of a data set's picture
  std::string family;                ///< degradation of a data set's picture
  int severity = 0;
};

struct SourceEvent {
  enum class Kind {
    kFrame,
    kSkipped,  ///< a picture that cannot be read: `text` names it and says why
    kNotice,   ///< a live stream was lost, is back, froze or held a frame back: `text` unless it was told before
    kEnd,      ///< nothing follows: all is read, or a stop was requested
    kFailed,   ///< nothing follows: `text` says why, `code` what the program should end with
  };
  Kind kind = Kind::kEnd;
  Frame frame;
  std::string text;
  ExitCode code = ExitCode::kOk;
  std::uint64_t frozen = 0, before_key_frame = 0;  ///< frames of a live source that were held back
};

/// Where pictures come from.  next() is called by one thread.
class Source {
 public:
  virtual ~Source() = default;
  virtual SourceEvent next() = 0;
  /// Live sources may drop frames and come back; all others are read whole.
  virtual bool live() const = 0;
  /// How it is named in records and messages: without credentials.
  virtual const std::string& name() const = 0;
  /// Pictures in all, 0 if unknown.
  virtual std::uint64_t size() const { return 0; }
};

enum class SourceKind { kPictures, kVideo, kCamera, kRtsp, kHttp };

/// What a --source means.
struct SourceSpec {
  SourceKind kind = SourceKind::kPictures;
  std::string target;  ///< path, device or address, credentials included: never written anywhere
  std::string name;    ///< the same without credentials
  bool live() const { return kind >= SourceKind::kCamera; }
};

/// Reads a --source: a camera's number or device, a picture, a folder, a video file, rtsp:// or http(s)://.
/// Throws Error(kData) if there is no such file or device, Error(kUsage) on an address of another kind.
SourceSpec parse_source(const std::string& text);

struct SourceOptions {
  std::int64_t reconnect_attempts = -1;            ///< in a row, of a live source; -1: without end
  std::chrono::milliseconds item_timeout{10'000};  ///< for one picture, or one frame of a file
  std::chrono::milliseconds read_timeout{5'000};   ///< for one frame of a live source
  std::chrono::milliseconds open_timeout{12'000};  ///< for opening a stream
  std::chrono::milliseconds frozen_after{5'000};   ///< a live source that shows one picture for so long is frozen
  std::string media_program;                       ///< "" = the one beside this program
};

/// The source of a spec.  Nothing is started before the first next().  Throws Error(kData) on a folder without
/// pictures.
std::unique_ptr<Source> open_source(const SourceSpec& spec, const SourceOptions& options, const Stop& stop);

/// Pictures of a folder and its subfolders, in the order of their paths' names; what is no picture by its name or its
/// first bytes is left out.  Paths begin with `folder`.
std::vector<std::string> list_pictures(const std::string& folder);
/// True if a file is a picture by its name's ending or by its first bytes.
bool looks_like_picture(const std::string& path);

}  // namespace bitpilot
