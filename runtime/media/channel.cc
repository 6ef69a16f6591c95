#include "runtime/media/channel.h"

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstring>

#include "runtime/core/error.h"

namespace bitpilot::media {

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Channel::Channel() {
  void* mapped = mmap(nullptr, kSlots * kSlotBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, kMemoryFd, 0);
  if (mapped == MAP_FAILED) {
    throw Error(ExitCode::kUsage, "`serve` is started by bitpilot alone", "bitpilot-media", "see `bitpilot --help`");
  }
  memory_ = static_cast<std::uint8_t*>(mapped);
}

void Channel::receive() {
  Message message;
  if (receive_message(kSocketFd, message, true) != Received::kMessage) _exit(0);
  if (message.header.kind == Kind::kFree && message.header.slot >= 0 && message.header.slot < kSlots) {
    free_[message.header.slot] = true;
  } else {
    pending_.push_back(std::move(message));
  }
}

Message Channel::request() {
  while (pending_.empty()) receive();
  Message first = std::move(pending_.front());
  pending_.pop_front();
  return first;
}

void Channel::send(Kind kind, const std::string& text, const std::string& family, std::uint64_t index) {
  Header header;
  header.kind = kind;
  header.index = index;
  if (!send_message(kSocketFd, header, text.substr(0, kMaxText / 2), family.substr(0, kMaxText / 2), true)) _exit(0);
}

int Channel::free_slot() const {
  for (int slot = 0; slot < kSlots; ++slot) {
    if (free_[slot]) return slot;
  }
  return -1;
}

bool Channel::send_frame(const ImageView& picture, Header header, const std::string& text, const std::string& family) {
  if ((picture.channels != 1 && picture.channels != 3) || picture.width < 1 || picture.height < 1) return false;
  if (std::int64_t{picture.width} * picture.height > kMaxPixels) return false;
  while (free_slot() < 0) receive();
  header.slot = free_slot();
  free_[header.slot] = false;
  header.kind = Kind::kFrame;
  header.width = picture.width;
  header.height = picture.height;
  header.channels = picture.channels;
  std::uint8_t* slot = memory_ + static_cast<std::size_t>(header.slot) * kSlotBytes;
  const std::size_t row_bytes = static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.channels);
  for (int y = 0; y < picture.height; ++y)
    std::memcpy(slot + static_cast<std::size_t>(y) * row_bytes, picture.row(y), row_bytes);
  if (!send_message(kSocketFd, header, text.substr(0, kMaxText / 2), family, true)) _exit(0);
  return true;
}

}  // namespace bitpilot::media
