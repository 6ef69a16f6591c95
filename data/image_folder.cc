// Pictures as files: one folder per class, or the files of a degraded set's manifest.
#include <algorithm>
#include <cctype>
#include <filesystem>

#include "data/labels.h"
#include "data/layouts.h"
#include "data/manifest.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

namespace fs = std::filesystem;

bool hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool is_picture_name(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  static const std::vector<std::string> endings{".png", ".jpg",  ".jpeg", ".bmp", ".webp",
                                                ".tif", ".tiff", ".ppm",  ".pgm", ".pnm"};
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

/// Visible folders directly inside, in name order; names of digits alone by value.
std::vector<std::string> subfolders(const std::string& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && !hidden(entry.path())) names.push_back(entry.path().filename().string());
  const auto digits = [](const std::string& s) {
    return s.size() <= 9 && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  const bool numbers = std::all_of(names.begin(), names.end(), digits);
  std::sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return numbers && std::stoul(a) != std::stoul(b) ? std::stoul(a) < std::stoul(b) : a < b;
  });
  return names;
}

/// Pictures below `folder`, subfolders included, in name order, relative to `root`.
void collect(const fs::path& folder, const fs::path& root, std::vector<std::string>& files) {
  std::vector<fs::path> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  for (const fs::path& path : entries) {
    if (hidden(path)) continue;
    if (fs::is_directory(path) && !fs::is_symlink(path)) collect(path, root, files);
    if (fs::is_regular_file(path) && is_picture_name(path))
      files.push_back(path.lexically_relative(root).generic_string());
  }
}

class FolderImageSet : public ImageSet {
 public:
  struct Entry {
    std::string file;  ///< relative to the folder
    int label = 0;
    std::string source, family, checksum;
    int severity = 0;
  };
  FolderImageSet(std::string folder, std::string name, DecodeFile decode, std::vector<std::string> labels,
                 std::vector<Entry> entries)
      : folder_(std::move(folder)),
        name_(std::move(name)),
        decode_(decode),
        labels_(std::move(labels)),
        entries_(std::move(entries)) {}
  std::string name() const override { return name_; }
  std::size_t size() const override { return entries_.size(); }
  int label(std::size_t i) const override { return entries_[i].label; }
  const std::vector<std::string>& labels() const override { return labels_; }
  std::string source(std::size_t i) const override { return entries_[i].source; }
  std::string family(std::size_t i) const override { return entries_[i].family; }
  int severity(std::size_t i) const override { return entries_[i].severity; }
  Image image(std::size_t i) const override {
    const std::string path = folder_ + "/" + entries_[i].file;
    Image image = decode_(path);
    if (image.pixels.empty())
      throw Error(ExitCode::kData, "the picture cannot be read", path,
                  "it is damaged, no picture or larger than 64 megapixels: mend or remove it");
    if (!entries_[i].checksum.empty() && pixels_checksum(image) != entries_[i].checksum)
      throw Error(ExitCode::kData, "the picture is not the one that manifest.jsonl describes", path,
                  "it was changed: write the degraded set again");
    return image;
  }
  std::string hash() const override {
    std::string text;
    for (const Entry& entry : entries_) {
      std::error_code missing;
      const auto bytes = fs::file_size(folder_ + "/" + entry.file, missing);
      text += entry.file + "\n" + std::to_string(missing ? 0 : bytes) + "\n" + entry.checksum + "\n";
    }
    return "sha256:" + sha256(text);
  }

 private:
  std::string folder_, name_;
  DecodeFile decode_;
  std::vector<std::string> labels_;
  std::vector<Entry> entries_;
};

void need_decoder(const std::string& folder, DecodeFile decode) {
  if (decode == nullptr)
    throw Error(ExitCode::kBug, "an image folder was opened by a part of the program that cannot decode pictures",
                folder, "report this fault");
}

/// One set from class folders below `folder`; `labels` is filled from the folder names if empty.
std::shared_ptr<ImageSet> open_classes(const std::string& folder, const std::string& name, DecodeFile decode,
                                       std::vector<std::string>& labels) {
  const std::vector<std::string> classes = subfolders(folder);
  if (labels.empty()) labels = classes;
  std::vector<FolderImageSet::Entry> entries;
  for (const std::string& class_name : classes) {
    const int label = find_label(class_name, labels);
    if (label < 0)
      throw Error(ExitCode::kData,
                  "the folder '" + class_name + "' is none of the " + std::to_string(labels.size()) + " classes",
                  folder,
                  "name it after a class or an index from 0 to " + std::to_string(labels.size() - 1) +
                      ", or add the class to labels.txt");
    std::vector<std::string> files;
    collect(fs::path(folder) / class_name, folder, files);
    for (std::string& file : files) {
      std::string source = file;
      entries.push_back({std::move(file), label, std::move(source), "", "", 0});
    }
  }
  if (entries.empty())
    throw Error(ExitCode::kData, "no pictures (.png .jpg .bmp .webp .tif .ppm .pgm) in one folder per class", folder,
                "put the pictures of each class into a folder of its own, named by the class");
  return std::make_shared<FolderImageSet>(folder, name, decode, labels, std::move(entries));
}

}  // namespace

OpenData open_image_folder(const std::string& folder, DecodeFile decode) {
  need_decoder(folder, decode);
  const std::string name = fs::path(folder).lexically_normal().filename().string();
  std::vector<std::string> labels = read_label_names(folder);
  OpenData data{name.empty() ? folder : name, nullptr, nullptr};
  const std::vector<std::string> folders = subfolders(folder);
  const bool parts = folders == std::vector<std::string>{"test", "train"} && !subfolders(folder + "/train").empty();
  data.pool = open_classes(parts ? folder + "/train" : folder, data.name, decode, labels);
  if (parts) data.test = open_classes(folder + "/test", data.name + "/test", decode, labels);
  return data;
}

OpenData open_degraded(const std::string& folder, DecodeFile decode) {
  const std::string manifest_path = folder + "/manifest.jsonl";
  const std::vector<ManifestEntry> manifest = read_manifest(manifest_path);
  std::vector<std::string> labels = read_label_names(folder);
  const std::string name = fs::path(folder).lexically_normal().filename().string();
  const auto differs = [&](const std::string& what, std::size_t line) {
    return Error(ExitCode::kData, what, manifest_path + ", line " + std::to_string(line + 1),
                 "the set was changed or is not whole: write it again with bitpilot degrade");
  };
  if (manifest.front().file.empty()) {
    const std::shared_ptr<MemoryImageSet> set = read_idx_pair(folder, "");
    set_label_names(*set, labels, folder);
    set->set_name = name;
    if (manifest.size() != set->images.size())
      throw differs(std::to_string(set->images.size()) + " pictures, but " + std::to_string(manifest.size()) + " lines",
                    manifest.size() - 1);
    for (std::size_t i = 0; i < manifest.size(); ++i) {
      if (pixels_checksum(set->images[i]) != manifest[i].checksum)
        throw differs("the checksum of picture " + std::to_string(i) + " differs", i);
      if (find_label(manifest[i].label, set->label_names) != set->image_labels[i])
        throw differs("the label of picture " + std::to_string(i) + " differs", i);
      set->sources.push_back(manifest[i].source);
      set->families.push_back(manifest[i].family);
      set->severities.push_back(manifest[i].severity);
    }
    return {name, set, nullptr};
  }
  need_decoder(folder, decode);
  if (labels.empty()) labels = subfolders(folder);
  std::vector<FolderImageSet::Entry> entries;
  for (std::size_t i = 0; i < manifest.size(); ++i) {
    const ManifestEntry& entry = manifest[i];
    const int label = find_label(entry.label, labels);
    if (label < 0)
      throw differs("class '" + entry.label + "' is none of the " + std::to_string(labels.size()) + " classes", i);
    if (!fs::is_regular_file(folder + "/" + entry.file))
      throw differs("the picture '" + entry.file + "' is missing", i);
    entries.push_back({entry.file, label, entry.source, entry.family, entry.checksum, entry.severity});
  }
  return {name, std::make_shared<FolderImageSet>(folder, name, decode, labels, std::move(entries)), nullptr};
}

}  // namespace bitpilot
