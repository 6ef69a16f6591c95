#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace bitpilot {

/// A file being written; every failure, also of close(), is Error(kMachine) naming it.
class OutputFile {
 public:
  OutputFile() = default;
  explicit OutputFile(const std::string& path);
  bool is_open() const { return file_ != nullptr; }
  void write(std::string_view bytes);
  void close();

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Closer> file_;
};

/// A folder of results that appears whole or not at all: it grows as `path`.partial and publish() gives it its name.
/// What was not published is removed by the destructor; what a killed process left, by the next one.
class OutputFolder {
 public:
  /// Throws Error(kUsage) if `path` (or `path`.partial) exists and is anything but an empty folder or a degraded set
  /// written by us.
  explicit OutputFolder(const std::string& path);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  OutputFile open(const std::string& name);
  void write(const std::string& name, std::string_view bytes);
  void make_folder(const std::string& name);
  /// Flushes everything to the disk and puts it in the place of an earlier set.
  void publish();

 private:
  std::string path_, partial_;
  bool published_ = false;
};

}  // namespace bitpilot
