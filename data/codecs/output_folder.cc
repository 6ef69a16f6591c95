#include "data/codecs/output_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "data/labels.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

namespace fs = std::filesystem;

Error machine_error(const std::string& what, const std::string& path, const std::string& reason) {
  return Error(ExitCode::kMachine, what + ": " + reason, path,
               "free some space, check the permissions or name another place with --out");
}

/// Whether everything directly inside could have been written by us; `whole`: with a manifest.
bool is_ours(const fs::path& folder, bool whole) {
  std::vector<std::string> known{"manifest.jsonl", "labels.txt", "images-idx3-ubyte", "images-idx4-ubyte",
                                 "labels-idx1-ubyte"};
  bool manifest = false, empty = true;
  if (fs::exists(folder / "labels.txt"))
    for (const std::string& label : read_label_names(folder.string())) known.push_back(label_folder(label));
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (std::find(known.begin(), known.end(), name) == known.end()) return false;
    manifest = manifest || name == "manifest.jsonl";
    empty = false;
  }
  return empty || manifest || !whole;
}

void check_place(const fs::path& path, bool whole) {
  if (!fs::exists(path)) return;
  bool ours = false;
  try {
    ours = fs::is_directory(path) && is_ours(path, whole);
  } catch (const Error&) {  // a labels.txt that is not ours
  }
  if (!ours)
    throw Error(
        ExitCode::kUsage,
        fs::is_directory(path) ? "the folder holds something else than a degraded set" : "a file stands in the way",
        path.string(), "name an empty or new folder with --out");
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "wbxe")) {
  if (!file_) throw machine_error("the file cannot be created", path, std::strerror(errno));
}

void OutputFile::write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size())
    throw machine_error("the file cannot be written", path_, std::strerror(errno));
}

void OutputFile::close() {
  if (std::fclose(file_.release()) != 0) throw machine_error("the file cannot be written", path_, std::strerror(errno));
}

OutputFolder::OutputFolder(const std::string& path) : path_(fs::path(path).lexically_normal().string()) {
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  partial_ = path_ + ".partial";
  try {
    check_place(path_, /*whole=*/true);
    check_place(partial_, /*whole=*/false);
    fs::remove_all(partial_);
    fs::create_directories(partial_);
  } catch (const fs::filesystem_error& error) {
    throw machine_error("the folder cannot be made", partial_, error.code().message());
  }
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!published_) fs::remove_all(partial_, ignored);
}

OutputFile OutputFolder::open(const std::string& name) { return OutputFile(partial_ + "/" + name); }

void OutputFolder::write(const std::string& name, std::string_view bytes) {
  OutputFile file = open(name);
  file.write(bytes);
  file.close();
}

void OutputFolder::make_folder(const std::string& name) {
  std::error_code failure;
  fs::create_directory(partial_ + "/" + name, failure);
  if (failure) throw machine_error("the folder cannot be made", partial_ + "/" + name, failure.message());
}

void OutputFolder::publish() {
  const int descriptor = ::open(partial_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool flushed = descriptor >= 0 && ::syncfs(descriptor) == 0;
  const std::string reason = std::strerror(errno);
  if (descriptor >= 0) ::close(descriptor);
  if (!flushed) throw machine_error("the folder cannot be flushed to the disk", partial_, reason);
  try {
    check_place(path_, /*whole=*/true);  // it may have changed meanwhile
    // Exchanged where the file system can, so that there is no moment without a whole set.
    if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) {
      fs::remove_all(partial_);
    } else {
      fs::remove_all(path_);
      fs::rename(partial_, path_);
    }
  } catch (const fs::filesystem_error& error) {
    throw machine_error("the folder cannot get its name", path_, error.code().message());
  }
  published_ = true;
}

}  // namespace bitpilot
