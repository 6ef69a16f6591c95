#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace bitpilot::media {

/// How bitpilot and bitpilot-media talk.  Messages go over a SOCK_SEQPACKET pair (descriptor kSocketFd in the child),
/// each one Header and then `text_bytes` + `family_bytes` bytes; pixels lie in a shared memory of kSlots slots of
/// kSlotBytes (descriptor kMemoryFd, sealed against resizing).  The child owns every slot at first; a kFrame hands one
/// over, a kFree gives it back.  bitpilot copies what it gets before it looks at it and believes nothing.
inline constexpr int kSocketFd = 3, kMemoryFd = 4;
inline constexpr int kSlots = 3;
inline constexpr std::int64_t kMaxPixels = 64'000'000;  ///< of one picture
inline constexpr std::size_t kSlotBytes = 192'000'000;  ///< kMaxPixels x 3 channels; sparse until written
inline constexpr std::size_t kMaxText = 96 << 10;       ///< bytes behind the header
inline constexpr std::uint32_t kMagic = 0x31504D42;     ///< "BMP1" in memory order

enum class Kind : std::uint32_t {
  // from bitpilot
  kStream =
      1,  ///< text: path, device or address; family: "video", "camera", "rtsp" or "http"; index: frames to pass over
  kPicture = 2,  ///< text: path; answered by one kFrame or kSkipped
  kFree = 3,     ///< slot
  kSet = 4,      ///< text: JSON, see runtime/sources/set_source.h; index: pictures to pass over
  // from bitpilot-media
  kHello = 16,    ///< ready
  kFrame = 17,    ///< slot, sizes, times, text: where it comes from
  kSkipped = 18,  ///< text: picture; family: why it cannot be read; of a live stream: a frame before its first key frame
  kInfo = 19,     ///< text: JSON about the set that was opened
  kEnd = 20,      ///< of the stream or set
  kFailed = 21,   ///< text: JSON {"code","what","where","fix"}: opening failed
};

struct Header {
  std::uint32_t magic = kMagic;
  Kind kind = Kind::kHello;
  std::uint64_t index = 0;  ///< of the picture in its set or the frame in its stream
  std::int32_t slot = -1, width = 0, height = 0, channels = 0;
  std::int64_t captured_ns = 0;  ///< CLOCK_MONOTONIC
  std::int64_t decode_ns = 0;
  std::int32_t label = -1, severity = 0;
  std::uint32_t text_bytes = 0, family_bytes = 0;
};
static_assert(sizeof(Header) == 64, "both programs agree on the layout");

struct Message {
  Header header;
  std::string text, family;
};

/// Sends one message; false when the other side is gone or does not read.  `wait`: block until there is room.
bool send_message(int socket, Header header, const std::string& text, const std::string& family, bool wait);

enum class Received { kMessage, kNothing, kClosed, kGarbage };
/// Receives one message.  kNothing only if not `wait`; kGarbage on a wrong magic or lengths that do not add up.
Received receive_message(int socket, Message& message, bool wait);

}  // namespace bitpilot::media
