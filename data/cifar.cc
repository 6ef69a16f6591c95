// CIFAR's binary files: records of one label byte (CIFAR-100: coarse, then fine) and 3 x 32 x 32 bytes, planes red,
// green, blue.
#include <filesystem>

#include "data/labels.h"
#include "data/layouts.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

constexpr int kSide = 32;
constexpr std::size_t kPlane = kSide * kSide;

void append_records(MemoryImageSet& set, const std::string& path, std::size_t label_bytes) {
  const std::string bytes = read_file(path);
  const std::size_t record = label_bytes + 3 * kPlane;
  if (bytes.empty() || bytes.size() % record != 0)
    throw Error(ExitCode::kData,
                "the file holds " + std::to_string(bytes.size()) + " bytes, no multiple of " + std::to_string(record),
                path, "the file is truncated or no CIFAR binary: fetch the binary version again");
  const std::string file = std::filesystem::path(path).filename().string();
  for (std::size_t begin = 0; begin < bytes.size(); begin += record) {
    const auto* planes = reinterpret_cast<const std::uint8_t*>(bytes.data() + begin + label_bytes);
    Image image(kSide, kSide, 3);
    for (std::size_t p = 0; p < kPlane; ++p)
      for (std::size_t c = 0; c < 3; ++c) image.pixels[3 * p + c] = planes[(2 - c) * kPlane + p];
    set.images.push_back(std::move(image));
    set.image_labels.push_back(static_cast<unsigned char>(bytes[begin + label_bytes - 1]));
    set.sources.push_back(file + "#" + std::to_string(begin / record));
  }
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(path)) return names;
  const std::string text = read_file(path);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string name = text.substr(begin, end - begin);
    while (!name.empty() && (name.back() == '\r' || name.back() == ' ')) name.pop_back();
    if (!name.empty()) names.push_back(std::move(name));
    begin = end + 1;
  }
  return names;
}

std::shared_ptr<MemoryImageSet> read_files(const std::string& folder, const std::string& name,
                                           const std::vector<std::string>& files, std::size_t label_bytes,
                                           const std::vector<std::string>& label_names) {
  auto set = std::make_shared<MemoryImageSet>();
  set->set_name = name;
  for (const std::string& file : files) append_records(*set, folder + "/" + file, label_bytes);
  set_label_names(*set, label_names, folder);
  return set;
}

bool has(const std::string& folder, const char* file) { return std::filesystem::is_regular_file(folder + "/" + file); }

}  // namespace

bool is_cifar10(const std::string& folder) { return has(folder, "data_batch_1.bin") || has(folder, "test_batch.bin"); }
bool is_cifar100(const std::string& folder) { return has(folder, "train.bin") || has(folder, "test.bin"); }

OpenData open_cifar10(const std::string& folder) {
  std::vector<std::string> names = names_in(folder + "/batches.meta.txt");
  if (names.empty()) names = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  std::vector<std::string> files;
  for (int batch = 1; batch <= 5; ++batch) files.push_back("data_batch_" + std::to_string(batch) + ".bin");
  return {"cifar10", read_files(folder, "cifar10/train", files, 1, names),
          read_files(folder, "cifar10/test", {"test_batch.bin"}, 1, names)};
}

OpenData open_cifar100(const std::string& folder) {
  std::vector<std::string> names = names_in(folder + "/fine_label_names.txt");
  for (int label = static_cast<int>(names.size()); label < 100; ++label) names.push_back(std::to_string(label));
  return {"cifar100", read_files(folder, "cifar100/train", {"train.bin"}, 2, names),
          read_files(folder, "cifar100/test", {"test.bin"}, 2, names)};
}

}  // namespace bitpilot
