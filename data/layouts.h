#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/image_set.h"

namespace bitpilot {

/// A data set as it lies on disk: `test` is nullptr where it has no test part of its own.
struct OpenData {
  std::string name;
  std::shared_ptr<const ImageSet> pool, test;
};

/// Each opens one layout (image_set.h lists them) and throws Error(kData).
OpenData open_idx(const std::string& folder, const std::string& name, std::vector<std::string> label_names);
OpenData open_cifar10(const std::string& folder);
OpenData open_cifar100(const std::string& folder);
OpenData open_image_folder(const std::string& folder, DecodeFile decode);
/// A folder with manifest.jsonl: pictures as an IDX pair or as files.
OpenData open_degraded(const std::string& folder, DecodeFile decode);

/// Whether a folder has the files of a layout.
bool is_idx(const std::string& folder);
bool is_cifar10(const std::string& folder);
bool is_cifar100(const std::string& folder);

/// Pictures and labels of the IDX pair in `folder` whose file names begin with `part` ("", "train-", "t10k-").  Throws
/// Error(kData) if one of the two is missing or their numbers differ.
std::shared_ptr<MemoryImageSet> read_idx_pair(const std::string& folder, const std::string& part);
/// Checks every label against the names ("0", "1", … up to the highest label where none are given).
void set_label_names(MemoryImageSet& set, std::vector<std::string> names, const std::string& where);

}  // namespace bitpilot
