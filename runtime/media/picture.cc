#include "runtime/media/picture.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <opencv2/imgcodecs.hpp>

namespace bitpilot::media {

namespace {

constexpr off_t kMaxFileBytes = 512 << 20;

std::string read_bytes(const std::string& path, std::vector<std::uint8_t>& bytes) {
  // O_NONBLOCK: a pipe put in the place of a picture must not hold us.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return std::strerror(errno);
  struct stat about {};
  std::string reason;
  if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
    reason = "no regular file";
  } else if (about.st_size == 0) {
    reason = "empty file";
  } else if (about.st_size > kMaxFileBytes) {
    reason = "larger than 512 MiB";
  } else {
    bytes.resize(static_cast<std::size_t>(about.st_size));
    std::size_t have = 0;
    ssize_t got = 0;
    while (have < bytes.size() && (got = read(file, bytes.data() + have, bytes.size() - have)) > 0) have += static_cast<std::size_t>(got);
    if (got < 0) reason = std::strerror(errno);
    bytes.resize(have);
  }
  close(file);
  return reason;
}

}  // namespace

Picture read_picture(const std::string& path) {
  Picture picture;
  std::vector<std::uint8_t> bytes;
  picture.reason = read_bytes(path, bytes);
  if (!picture.reason.empty()) return picture;
  try {
    picture.pixels = cv::imdecode(bytes, cv::IMREAD_ANYCOLOR);
    if (picture.pixels.empty()) picture.reason = "no picture that can be decoded";
  } catch (const cv::Exception&) {
    picture.pixels.release();
    picture.reason = "no picture that can be decoded, or larger than 64 megapixels";
  }
  return picture;
}

}  // namespace bitpilot::media
