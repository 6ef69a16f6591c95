#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>

namespace bitpilot {

/// A file (or "-", standard output) of JSON lines.  One write(2) a line at the end of the file, so whatever ends the
/// process leaves whole lines and at most one torn last one.  A regular file is synced once a second and on closing.
class JsonLines {
 public:
  /// Starts the file anew, or with `append` goes on behind its last whole line (a torn one is cut off).  A regular file
  /// that holds something else than bitpilot's records is not touched: Error(kUsage).  Throws Error(kMachine) if the
  /// file cannot be written.
  explicit JsonLines(const std::string& path, bool append = false);
  ~JsonLines();
  JsonLines(const JsonLines&) = delete;
  JsonLines& operator=(const JsonLines&) = delete;

  /// `line` without its line end.  Throws Error(kMachine) when it cannot be written whole; what was written of it is
  /// cut off again, and a later call may succeed.
  void write(std::string_view line);
  const std::string& path() const { return path_; }

 private:
  void check_content();
  void cut_torn_line();
  [[noreturn]] void fail(int error) const;
  std::string path_;
  int fd_ = -1;
  bool owned_ = false, regular_ = false;
  off_t length_ = 0;  ///< of a regular file, up to its last whole line
  std::chrono::steady_clock::time_point synced_;
};

}  // namespace bitpilot
