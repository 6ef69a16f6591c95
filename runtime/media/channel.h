#pragma once

#include <deque>
#include <string>

#include "runtime/core/image.h"
#include "runtime/sources/media_protocol.h"

namespace bitpilot::media {

/// The child's end of the line to bitpilot.  When bitpilot goes away the process ends: there is nobody left to work
/// for.
class Channel {
 public:
  /// Descriptors kSocketFd and kMemoryFd as bitpilot left them.  Throws Error(kUsage) if they are not there.
  Channel();
  /// The next request, kFree excepted; waits for it.
  Message request();
  void send(Kind kind, const std::string& text = "", const std::string& family = "", std::uint64_t index = 0);
  /// Hands a picture over, waiting for a free slot.  False (and nothing sent) if it is empty, too large or has not 1 or
  /// 3 channels.
  bool send_frame(const ImageView& picture, Header header, const std::string& text, const std::string& family = "");

 private:
  std::uint8_t* memory_ = nullptr;
  bool free_[kSlots] = {true, true, true};
  std::deque<Message> pending_;
  void receive();
  int free_slot() const;
};

/// CLOCK_MONOTONIC.
std::int64_t now_ns();

}  // namespace bitpilot::media
