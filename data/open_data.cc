#include <filesystem>

#include "data/image_set.h"
#include "data/labels.h"
#include "data/layouts.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFashionMnist = "/usr/share/datasets/fashion-mnist";

bool holds_folder(const std::string& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && !entry.path().filename().string().starts_with('.')) return true;
  return false;
}

OpenData open_folder(const std::string& folder, DecodeFile decode) {
  if (fs::exists(folder + "/manifest.jsonl")) return open_degraded(folder, decode);
  if (is_idx(folder)) {
    const std::string name = fs::path(folder).lexically_normal().filename().string();
    return open_idx(folder, name == "fashion-mnist" ? name : "idx",
                    name == "fashion-mnist" ? fashion_mnist_labels() : std::vector<std::string>{});
  }
  for (const std::string& inside : {folder, folder + "/cifar-10-batches-bin"})
    if (is_cifar10(inside)) return open_cifar10(inside);
  for (const std::string& inside : {folder, folder + "/cifar-100-binary"})
    if (is_cifar100(inside)) return open_cifar100(inside);
  if (holds_folder(folder)) return open_image_folder(folder, decode);
  throw Error(ExitCode::kData,
              "no data set found: looked for manifest.jsonl, train-images-idx3-ubyte[.gz] or images-idx3-ubyte[.gz] "
              "(idx), data_batch_1.bin (cifar10), "
              "train.bin (cifar100) and one folder per class with pictures (imagefolder)",
              folder, "name the folder that holds one of these; pictures must lie in one folder per class");
}

OpenData open_data(const std::string& spec, DecodeFile decode) {
  std::error_code failure;
  if (spec == "fashion-mnist" && !fs::is_directory(spec, failure)) {
    if (!fs::is_directory(kFashionMnist, failure))
      throw Error(ExitCode::kData, "Fashion-MNIST is not installed", kFashionMnist,
                  "apt-get install dataset-fashion-mnist, or name a folder with --data");
    return open_idx(kFashionMnist, spec, fashion_mnist_labels());
  }
  if (!fs::is_directory(spec, failure))
    throw Error(ExitCode::kData,
                fs::exists(spec, failure) ? "the data set is a file, not a folder" : "the data set does not exist",
                spec, "name a folder with pictures, or fashion-mnist");
  try {
    return open_folder(spec, decode);
  } catch (const fs::filesystem_error& error) {
    throw Error(ExitCode::kMachine, "the folder cannot be read: " + error.code().message(), error.path1().string(),
                "check its permissions");
  }
}

}  // namespace

DataSplits open_splits(const std::string& spec, DecodeFile decode) {
  OpenData data = open_data(spec, decode);
  return split_data(data.name, std::move(data.pool), std::move(data.test));
}

std::shared_ptr<const ImageSet> open_evaluation_set(const std::string& spec, DecodeFile decode) {
  OpenData data = open_data(spec, decode);
  return data.test != nullptr ? data.test : data.pool;
}

}  // namespace bitpilot
