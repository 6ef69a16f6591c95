#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "runtime/sources/source.h"

namespace bitpilot {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEndings[] = {".bmp", ".dib", ".jpeg", ".jpg", ".jpe", ".png", ".webp",
                                         ".pbm", ".pgm", ".ppm",  ".pnm", ".tif", ".tiff"};
using namespace std::string_view_literals;
constexpr std::string_view kBeginnings[] = {"\x89PNG\r\n\x1a\n"sv, "\xff\xd8\xff"sv, "II*\0"sv, "MM\0*"sv};

bool begins_like_picture(const std::string& path) {
  std::array<char, 16> bytes{};
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), bytes.size());
  const std::string_view head(bytes.data(), static_cast<std::size_t>(file.gcount()));
  if (std::any_of(std::begin(kBeginnings), std::end(kBeginnings), [&](auto b) { return head.starts_with(b); }))
    return true;
  return head.starts_with("RIFF") && head.size() >= 12 && head.substr(8, 4) == "WEBP";
}

}  // namespace

bool looks_like_picture(const std::string& path) {
  std::string ending = fs::path(path).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(std::begin(kEndings), std::end(kEndings), ending) != std::end(kEndings) || begins_like_picture(path);
}

std::vector<std::string> list_pictures(const std::string& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  // Links to folders are not followed: they may lead in circles.  Only regular files are touched: opening a pipe would
  // wait for ever.
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied, error), end;
  if (error)
    throw Error(ExitCode::kMachine, "the folder cannot be read: " + error.message(), folder, "check its permissions");
  for (; entry != end; entry.increment(error)) {
    if (error)
      throw Error(ExitCode::kMachine, "the folder cannot be read: " + error.message(), folder, "check its permissions");
    if (entry->is_regular_file(error) && looks_like_picture(entry->path().string())) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> paths;
  paths.reserve(found.size());
  for (const fs::path& path : found) paths.push_back(path.string());
  return paths;
}

}  // namespace bitpilot
