#include "runtime/sinks/json_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/core/error.h"

namespace bitpilot {

namespace {

constexpr std::string_view kBeginning = "{\"schema\":\"bitpilot.";
constexpr std::chrono::seconds kSyncInterval{1};

}  // namespace

void JsonLines::fail(int error) const {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  const std::string what = full             ? "the disk is full"
                           : error == EPIPE ? "nobody reads the output any more"
                                            : "the output cannot be written";
  throw Error(
      ExitCode::kMachine, what + " (" + std::strerror(error) + ")", path_ == "-" ? "standard output" : path_,
      full ? "free some space or name another place" : "name a file in a folder that exists and may be written");
}

JsonLines::JsonLines(const std::string& path, bool append) : path_(path), synced_(std::chrono::steady_clock::now()) {
  if (path == "-") {
    fd_ = STDOUT_FILENO;
    return;
  }
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0 && (errno == EACCES || errno == EINVAL))
    fd_ = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);  // pipes, devices
  if (fd_ < 0) fail(errno);
  owned_ = true;
  struct stat about {};
  regular_ = fstat(fd_, &about) == 0 && S_ISREG(about.st_mode);
  if (!regular_) return;
  length_ = about.st_size;
  try {
    check_content();
    if (append) {
      cut_torn_line();
    } else {
      length_ = 0;
    }
    if (ftruncate(fd_, length_) != 0) fail(errno);
  } catch (...) {
    close(fd_);
    throw;
  }
}

JsonLines::~JsonLines() {
  if (regular_) fdatasync(fd_);
  if (owned_) close(fd_);
}

void JsonLines::check_content() {
  char head[kBeginning.size()];
  const ssize_t got = pread(fd_, head, sizeof head, 0);
  const std::string_view have(head, got > 0 ? static_cast<std::size_t>(got) : 0);
  if (kBeginning.starts_with(have)) return;  // a torn first line is ours as well
  throw Error(ExitCode::kUsage, "this file holds something else than bitpilot's records", path_,
              "name a new file or remove this one");
}

void JsonLines::cut_torn_line() {
  char block[4096];
  while (length_ > 0) {
    const off_t begin = std::max<off_t>(0, length_ - static_cast<off_t>(sizeof block));
    const ssize_t got = pread(fd_, block, static_cast<std::size_t>(length_ - begin), begin);
    if (got < 0) fail(errno);
    const std::string_view text(block, static_cast<std::size_t>(got));
    if (const std::size_t end = text.rfind('\n'); end != std::string_view::npos) {
      length_ = begin + static_cast<off_t>(end) + 1;
      return;
    }
    length_ = begin;
  }
}

void JsonLines::write(std::string_view line) {
  std::string bytes(line);
  bytes += '\n';
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(fd_, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      if (regular_ && done > 0 && ftruncate(fd_, length_) != 0) fail(errno);
      fail(error);
    }
    done += static_cast<std::size_t>(count);
  }
  length_ += static_cast<off_t>(bytes.size());
  const auto now = std::chrono::steady_clock::now();
  if (regular_ && now - synced_ >= kSyncInterval) {
    fdatasync(fd_);
    synced_ = now;
  }
}

}  // namespace bitpilot
