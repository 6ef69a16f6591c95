#include "runtime/core/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr std::size_t kMaxStream = std::size_t{64} << 20;  // of pipes and devices, whose size nobody knows

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool close() {
    const int fd = fd_;
    fd_ = -1;
    return ::close(fd) == 0;
  }

 private:
  int fd_;
};

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

[[noreturn]] void fail_to_write(const std::string& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw Error(ExitCode::kMachine,
              std::string(full ? "the disk is full" : "cannot write the file") + " (" + std::strerror(error) + ")",
              path, full ? "free some space or name another place" : "name a folder that exists and may be written");
}

/// 0 or errno.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return 0;
}

void write_to_device(const std::string& path, std::string_view bytes) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) fail_to_write(path, errno);
  if (const int error = write_all(file.get(), bytes)) fail_to_write(path, error);
  if (!file.close()) fail_to_write(path, errno);
}

}  // namespace

std::string read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    const bool missing = errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
    throw Error(missing ? ExitCode::kData : ExitCode::kMachine,
                missing ? "no such file" : std::string("cannot open the file (") + std::strerror(errno) + ")", path,
                missing ? "check the path" : "make the file readable");
  }
  struct stat info {};
  if (::fstat(file.get(), &info) == 0 && S_ISDIR(info.st_mode))
    throw Error(ExitCode::kData, "this is a folder, not a file", path, "name a file in it");
  const bool regular = S_ISREG(info.st_mode);
  std::string bytes;
  if (regular) bytes.reserve(static_cast<std::size_t>(info.st_size));
  std::string part(std::size_t{1} << 16, '\0');
  for (;;) {
    const ssize_t count = ::read(file.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      throw Error(ExitCode::kMachine, std::string("cannot read the file (") + std::strerror(errno) + ")", path,
                  "check the disk");
    if (count == 0) return bytes;
    bytes.append(part.data(), static_cast<std::size_t>(count));
    if (!regular && bytes.size() > kMaxStream)
      throw Error(ExitCode::kData, "a stream of more than 64 MiB", path, "name a regular file");
  }
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
    write_to_device(path, bytes);  // a pipe or /dev/…: a rename would replace it
    return;
  }
  static std::atomic<unsigned> counter{0};
  // Same folder, so that rename stays on one file system.
  const std::string temporary = path + ".tmp" + std::to_string(::getpid()) + "." + std::to_string(counter++);
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (file.get() < 0) fail_to_write(path, errno);
  int error = write_all(file.get(), bytes);
  if (error == 0 && ::fsync(file.get()) != 0) error = errno;
  if (!file.close() && error == 0) error = errno;
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    fail_to_write(path, error);
  }
  const Descriptor folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot sync a folder (EINVAL); the rename itself has happened.
  if (folder.get() >= 0 && ::fsync(folder.get()) != 0 && errno != EINVAL) fail_to_write(path, errno);
}

std::string nearest_name(const std::string& name, const std::vector<std::string>& known) {
  constexpr std::size_t kFarthest = 3;
  std::string best;
  std::size_t best_distance = kFarthest + 1;
  for (const std::string& candidate : known) {
    if (candidate.size() > name.size() + kFarthest || name.size() > candidate.size() + kFarthest) continue;
    std::vector<std::size_t> row(candidate.size() + 1);  // Levenshtein, one row at a time
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 0; i < name.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i + 1;
      for (std::size_t j = 0; j < candidate.size(); ++j) {
        const std::size_t replaced = diagonal + (name[i] != candidate[j]);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
      }
    }
    // A name of which every letter would change is no suggestion.
    if (row.back() < best_distance && row.back() < std::max(name.size(), candidate.size())) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace bitpilot
