#include <algorithm>
#include <filesystem>

#include "data/idx.h"
#include "data/labels.h"
#include "data/layouts.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

std::string find_file(const std::string& folder, const std::vector<std::string>& stems) {
  for (const std::string& stem : stems)
    for (const char* ending : {"", ".gz"})
      if (std::filesystem::is_regular_file(folder + "/" + stem + ending)) return folder + "/" + stem + ending;
  return "";
}

std::string bare_name(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  return name;
}

std::string find_images(const std::string& folder, const std::string& part) {
  return find_file(folder, {part + "images-idx3-ubyte", part + "images.idx3-ubyte", part + "images-idx4-ubyte",
                            part + "images.idx4-ubyte"});
}

std::string find_labels(const std::string& folder, const std::string& part) {
  return find_file(folder, {part + "labels-idx1-ubyte", part + "labels.idx1-ubyte"});
}

/// Whether either file of a pair is there.
bool present(const std::string& folder, const std::string& part) {
  return !find_images(folder, part).empty() || !find_labels(folder, part).empty();
}

}  // namespace

bool is_idx(const std::string& folder) {
  for (const char* part : {"train-", "t10k-", "test-", ""})
    if (present(folder, part)) return true;
  return false;
}

std::shared_ptr<MemoryImageSet> read_idx_pair(const std::string& folder, const std::string& part) {
  const std::string images_path = find_images(folder, part), labels_path = find_labels(folder, part);
  if (images_path.empty() || labels_path.empty())
    throw Error(
        ExitCode::kData,
        images_path.empty() ? "the labels have no pictures beside them" : "the pictures have no labels beside them",
        folder,
        "put " + part + (images_path.empty() ? "images-idx3-ubyte" : "labels-idx1-ubyte") +
            " (or the same with .gz) into the folder");
  auto set = std::make_shared<MemoryImageSet>();
  set->images = read_idx_images(images_path);
  set->image_labels = read_idx_labels(labels_path);
  if (set->images.size() != set->image_labels.size())
    throw Error(
        ExitCode::kData,
        std::to_string(set->images.size()) + " pictures, but " + std::to_string(set->image_labels.size()) + " labels",
        images_path + " and " + labels_path, "the two files do not belong together: fetch both again");
  set->set_name = bare_name(images_path);
  return set;
}

void set_label_names(MemoryImageSet& set, std::vector<std::string> names, const std::string& where) {
  if (names.empty()) {
    const int highest =
        set.image_labels.empty() ? 0 : *std::max_element(set.image_labels.begin(), set.image_labels.end());
    for (int label = 0; label <= highest; ++label) names.push_back(std::to_string(label));
  }
  for (std::size_t i = 0; i < set.image_labels.size(); ++i)
    if (set.image_labels[i] < 0 || set.image_labels[i] >= static_cast<int>(names.size()))
      throw Error(ExitCode::kData,
                  "label " + std::to_string(set.image_labels[i]) + " is out of range: there are " +
                      std::to_string(names.size()) + " classes",
                  where + ", picture " + std::to_string(i), "mend the labels, or name every class in labels.txt");
  set.label_names = std::move(names);
}

OpenData open_idx(const std::string& folder, const std::string& name, std::vector<std::string> label_names) {
  OpenData data;
  data.name = name;
  if (label_names.empty()) label_names = read_label_names(folder);
  std::string first = "train-";
  for (const char* part : {"test-", "t10k-", "", "train-"})
    if (present(folder, part)) first = part;
  const std::shared_ptr<MemoryImageSet> pool = read_idx_pair(folder, first);
  set_label_names(*pool, std::move(label_names), folder);
  data.pool = pool;
  for (const char* part : {"t10k-", "test-"}) {
    if (first != "train-" || !present(folder, part)) continue;
    const std::shared_ptr<MemoryImageSet> test = read_idx_pair(folder, part);
    set_label_names(*test, pool->label_names, folder);
    data.test = test;
    break;
  }
  return data;
}

}  // namespace bitpilot
