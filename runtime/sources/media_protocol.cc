#include "runtime/sources/media_protocol.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace bitpilot::media {

bool send_message(int socket, Header header, const std::string& text, const std::string& family, bool wait) {
  if (text.size() + family.size() > kMaxText) return false;
  header.magic = kMagic;
  header.text_bytes = static_cast<std::uint32_t>(text.size());
  header.family_bytes = static_cast<std::uint32_t>(family.size());
  iovec parts[3] = {{&header, sizeof header},
                    {const_cast<char*>(text.data()), text.size()},
                    {const_cast<char*>(family.data()), family.size()}};
  msghdr packet{};
  packet.msg_iov = parts;
  packet.msg_iovlen = 3;
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket, &packet, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(sizeof header + text.size() + family.size());
}

Received receive_message(int socket, Message& message, bool wait) {
  thread_local std::vector<char> buffer(kMaxText);
  iovec parts[2] = {{&message.header, sizeof message.header}, {buffer.data(), buffer.size()}};
  msghdr packet{};
  packet.msg_iov = parts;
  packet.msg_iovlen = 2;
  ssize_t got = 0;
  do {
    got = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Received::kNothing;
  if (got <= 0) return Received::kClosed;
  const Header& header = message.header;
  if ((packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || got < static_cast<ssize_t>(sizeof header))
    return Received::kGarbage;
  const auto behind = static_cast<std::uint64_t>(got) - sizeof header;
  if (header.magic != kMagic || std::uint64_t{header.text_bytes} + header.family_bytes != behind)
    return Received::kGarbage;
  message.text.assign(buffer.data(), header.text_bytes);
  message.family.assign(buffer.data() + header.text_bytes, header.family_bytes);
  return Received::kMessage;
}

}  // namespace bitpilot::media
