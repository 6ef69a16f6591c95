#include "experiments/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>

#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"
#include "runtime/format/safetensors.h"

namespace bitpilot {

namespace fs = std::filesystem;

namespace {

constexpr const char* kStateKey = "bitpilot.training";

nlohmann::json state_of(const SafeTensors& file, const std::string& path) {
  const auto entry = file.metadata.find(kStateKey);
  if (entry == file.metadata.end())
    throw Error(ExitCode::kData, "this is no checkpoint", path, "give a file from a run's checkpoints folder");
  return parse_json(entry->second, path);
}

}  // namespace

void write_checkpoint(const std::string& path, const NamedTensors& tensors, const nlohmann::json& state) {
  std::map<std::string, TensorView> views;
  std::vector<torch::Tensor> kept;
  for (const auto& [name, tensor] : tensors) {
    kept.push_back(tensor.detach().contiguous());
    const torch::Tensor& t = kept.back();
    const auto* bytes = static_cast<const std::uint8_t*>(t.data_ptr());
    views[name] = {"F32", {t.sizes().begin(), t.sizes().end()}, {bytes, static_cast<std::size_t>(t.nbytes())}};
  }
  write_file_atomically(path, safetensors_bytes({{kStateKey, state.dump()}}, views));
}

nlohmann::json read_checkpoint(const std::string& path, const NamedTensors& tensors, bool more) {
  const std::string bytes = read_file(path);
  const SafeTensors file = parse_safetensors(bytes, path);
  const nlohmann::json state = state_of(file, path);
  const auto mismatch = [&](const std::string& what) {
    return Error(ExitCode::kData, what, path, "resume with the recipe that the run was started with");
  };
  if (!more && file.tensors.size() != tensors.size()) throw mismatch("the checkpoint belongs to another network");
  for (const auto& [name, tensor] : tensors) {
    const auto entry = file.tensors.find(name);
    if (entry == file.tensors.end() || entry->second.dtype != "F32" || entry->second.shape != std::vector<std::int64_t>(tensor.sizes().begin(), tensor.sizes().end()))
      throw mismatch("the checkpoint has no tensor \"" + name + "\" of this shape");
  }
  torch::NoGradGuard guard;
  for (const auto& [name, tensor] : tensors) {
    const TensorView& view = file.tensors.at(name);
    torch::Tensor source = torch::empty(tensor.sizes());
    std::memcpy(source.data_ptr(), view.bytes.data(), view.bytes.size());
    tensor.detach().copy_(source);
  }
  return state;
}

nlohmann::json read_checkpoint_state(const std::string& path) {
  const std::string bytes = read_file(path);
  return state_of(parse_safetensors(bytes, path), path);
}

std::vector<std::string> list_checkpoints(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder, failure)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.ends_with(".safetensors")) found.push_back(entry.path().string());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

void prune_checkpoints(const std::string& folder, std::size_t keep) {
  const std::vector<std::string> found = list_checkpoints(folder);
  std::error_code ignored;
  for (std::size_t i = keep; i < found.size(); ++i) fs::remove(found[i], ignored);
}

void remove_torn_files(const std::string& folder) {
  static const std::regex torn(R"(.+\.tmp[0-9]+\.[0-9]+)");
  std::error_code failure;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder, failure))
    if (entry.is_regular_file() && std::regex_match(entry.path().filename().string(), torn)) found.push_back(entry.path());
  for (const fs::path& path : found) fs::remove(path, failure);
}

}  // namespace bitpilot
