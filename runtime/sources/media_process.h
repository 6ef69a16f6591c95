#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/image.h"
#include "runtime/sources/media_protocol.h"
#include "runtime/sources/stop.h"

namespace bitpilot {

/// What a media process said, or what became of it.
struct MediaEvent {
  enum class Kind {
    kMessage,  ///< `message`; `image` for a kFrame
    kTimeout,  ///< silent for the given time: it hangs
    kDied,     ///< crashed, was killed or ended; `reason` says how
    kGarbage,  ///< broke the protocol; it has been killed
    kStopped,  ///< a stop was requested
  };
  Kind kind = Kind::kTimeout;
  media::Message message;
  Image image;
  std::string reason;
};

/// One bitpilot-media at work.  Nothing that it does (crash, hang, garbage, endless memory) reaches further than a
/// MediaEvent. Use by one thread, which must outlive the child.
class MediaProcess {
 public:
  /// `program`: "" = the bitpilot-media beside this program.
  explicit MediaProcess(const Stop& stop, std::string program = "");
  ~MediaProcess();
  MediaProcess(const MediaProcess&) = delete;
  MediaProcess& operator=(const MediaProcess&) = delete;

  /// Starts (or restarts) the child and waits for its hello.  Throws Error(kMachine) if there is no program or it
  /// cannot start. False: a stop was requested meanwhile.
  bool start();
  bool running() const { return pid_ > 0; }
  /// Kills the child.
  void kill();
  pid_t pid() const { return pid_; }

  /// Asks for something; a child that does not listen is noticed by the next wait().
  void request(media::Kind kind, const std::string& text, std::uint64_t index = 0, const std::string& family = "");
  /// The next event, at the latest after `timeout`.  A frame's pixels are copied and its slot given back.
  MediaEvent wait(std::chrono::milliseconds timeout);

 private:
  const Stop& stop_;
  std::string program_;
  pid_t pid_ = -1;
  int socket_ = -1, memory_fd_ = -1;
  std::uint8_t* memory_ = nullptr;

  void make_memory();
  void spawn(int child_socket);
  MediaEvent ended(MediaEvent::Kind kind, const std::string& reason);
  bool take_frame(const media::Header& header, Image& image);
};

}  // namespace bitpilot
