#include "data/labels.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

bool is_alphanumeric(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80;
}

std::string plain(const std::string& name) {
  std::string text;
  for (const char c : name)
    if (is_alphanumeric(c)) text.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  return text.empty() ? name : text;
}

}  // namespace

bool same_label(const std::string& a, const std::string& b) { return a == b || plain(a) == plain(b); }

std::string label_folder(const std::string& label) {
  std::string folder = label;
  for (char& c : folder)
    if (!is_alphanumeric(c) && c != '-' && c != '.' && c != '_') c = '_';
  if (folder.empty() || folder[0] == '.') folder.insert(folder.begin(), '_');
  return folder;
}

int find_label(const std::string& name, const std::vector<std::string>& labels) {
  const auto exact = std::find(labels.begin(), labels.end(), name);
  if (exact != labels.end()) return static_cast<int>(exact - labels.begin());
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (same_label(name, labels[i])) return static_cast<int>(i);
  const bool digits = !name.empty() && name.size() <= 6 &&
                      std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits && std::stoul(name) < labels.size() ? std::stoi(name) : -1;
}

std::vector<int> map_labels(const std::vector<std::string>& from, const std::vector<std::string>& to,
                            const std::string& where) {
  std::vector<int> indices;
  for (const std::string& name : from) {
    const int index = find_label(name, to);
    if (index < 0) {
      const std::string nearest = nearest_name(name, to);
      throw Error(ExitCode::kData,
                  "class '" + name + "' is not among the " + std::to_string(to.size()) + " classes of the model", where,
                  nearest.empty() ? "name the classes as the model does ('" + to.front() + "', …) or by index 0 to " +
                                        std::to_string(to.size() - 1)
                                  : "did you mean '" + nearest + "'?");
    }
    indices.push_back(index);
  }
  return indices;
}

const std::vector<std::string>& fashion_mnist_labels() {
  static const std::vector<std::string> names{"t-shirt/top", "trouser", "pullover", "dress", "coat",
                                              "sandal",      "shirt",   "sneaker",  "bag",   "ankle boot"};
  return names;
}

std::vector<std::string> read_label_names(const std::string& folder) {
  const std::string path = folder + "/labels.txt";
  std::vector<std::string> names;
  if (!std::filesystem::exists(path)) return names;
  const std::string text = read_file(path);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string name = text.substr(begin, end - begin);
    if (!name.empty() && name.back() == '\r') name.pop_back();
    if (name.empty() || std::find(names.begin(), names.end(), name) != names.end())
      throw Error(ExitCode::kData, name.empty() ? "an empty class name" : "class '" + name + "' stands twice",
                  path + ", line " + std::to_string(names.size() + 1),
                  "give one class name a line, in the order of the label numbers");
    names.push_back(std::move(name));
    begin = end + 1;
  }
  if (names.empty())
    throw Error(ExitCode::kData, "no class names", path, "give one class name a line, or remove the file");
  return names;
}

}  // namespace bitpilot
