#include "runtime/profile_cache.h"

#include <cstdlib>
#include <filesystem>

#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

constexpr std::size_t kNameLength = 32;  // hexadecimal digits of a hash

std::filesystem::path cache_folder() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && std::filesystem::path(cache).is_absolute()) return std::filesystem::path(cache) / "bitpilot";
  const char* const home = std::getenv("HOME");
  if (home == nullptr || !std::filesystem::path(home).is_absolute()) return {};
  return std::filesystem::path(home) / ".cache" / "bitpilot";
}

}  // namespace

std::string profile_cache_file(const std::string& model_hash, const Machine& machine) {
  const std::filesystem::path folder = cache_folder();
  if (folder.empty() || model_hash.empty()) return {};
  const std::string key = model_hash + "\n" + machine.cpu + "\n" + machine.isa + "\n" +
                          std::to_string(machine.threads) + "\n" + machine.version + "\n" + machine.kernels;
  return (folder / ("profile-" + sha256(key).substr(0, kNameLength) + ".json")).string();
}

bool keep_profile(const std::string& text, const std::string& model_hash, const Machine& machine) {
  const std::string file = profile_cache_file(model_hash, machine);
  if (file.empty()) return false;
  std::error_code failed;
  std::filesystem::create_directories(std::filesystem::path(file).parent_path(), failed);
  if (failed) return false;
  try {
    write_file_atomically(file, text);
  } catch (const Error&) {
    return false;
  }
  return true;
}

std::optional<Profile> find_profile(const std::string& wanted, const ModelData& model, const std::string& model_hash,
                                    const Machine& machine) {
  if (wanted == "off") return std::nullopt;
  if (!wanted.empty()) return parse_profile(read_file(wanted), wanted, model.network, model.space, machine);
  const std::string file = profile_cache_file(model_hash, machine);
  std::error_code failed;
  if (file.empty() || !std::filesystem::exists(file, failed)) return std::nullopt;
  try {
    return parse_profile(read_file(file), file, model.network, model.space, machine);
  } catch (const Error&) {
    return std::nullopt;  // damaged, or written by something else: the kernels' own order does as well
  }
}

}  // namespace bitpilot
