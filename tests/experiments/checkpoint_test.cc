#include "experiments/checkpoint.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/core/error.h"
#include "runtime/core/files.h"

using namespace bitpilot;
namespace fs = std::filesystem;

namespace {

struct Folder {
  std::string path = (fs::temp_directory_path() / "bitpilot_checkpoint_test_XXXXXX").string();
  Folder() { path = mkdtemp(path.data()); }
  ~Folder() { fs::remove_all(path); }
};

NamedTensors tensors(float value) { return {{"a", torch::full({3, 2}, value)}, {"b", torch::arange(4).to(torch::kFloat) * value}}; }

}  // namespace

TEST_CASE("experiments/checkpoint: tensors and state come back exactly") {
  const Folder folder;
  const std::string file = folder.path + "/step-00000003.safetensors";
  write_checkpoint(file, tensors(0.1F), {{"step", 3}, {"sums", {0.1, 1e-17}}});
  const NamedTensors into = tensors(9);
  const nlohmann::json state = read_checkpoint(file, into);
  CHECK(state["step"] == 3);
  CHECK(state["sums"][1].get<double>() == 1e-17);
  CHECK(torch::equal(into[0].second, tensors(0.1F)[0].second));
  CHECK(torch::equal(into[1].second, tensors(0.1F)[1].second));
}

TEST_CASE("experiments/checkpoint: a damaged file or another network changes nothing") {
  const Folder folder;
  const std::string file = folder.path + "/step-00000003.safetensors";
  write_checkpoint(file, tensors(1), {{"step", 3}});
  const std::string bytes = read_file(file);
  const NamedTensors into = tensors(9);
  for (std::size_t length = 0; length < bytes.size(); length += 7) {
    write_file_atomically(file, bytes.substr(0, length));
    CHECK_THROWS_AS(read_checkpoint(file, into), Error);
  }
  write_file_atomically(file, bytes);
  const NamedTensors other{{"a", torch::zeros({3, 2})}, {"b", torch::zeros({5})}};
  CHECK_THROWS_AS(read_checkpoint(file, other), Error);
  CHECK_THROWS_AS(read_checkpoint(file, {{"a", torch::zeros({3, 2})}}), Error);
  CHECK(torch::equal(into[0].second, tensors(9)[0].second));
}

TEST_CASE("experiments/checkpoint: the newest stand first and the oldest are pruned") {
  const Folder folder;
  for (const char* step : {"00000002", "00000010", "00000005"})
    write_checkpoint(folder.path + "/step-" + step + ".safetensors", tensors(1), {{"step", 1}});
  write_file_atomically(folder.path + "/notes.txt", "mine");
  REQUIRE(list_checkpoints(folder.path).size() == 3);
  CHECK(list_checkpoints(folder.path)[0].ends_with("step-00000010.safetensors"));
  prune_checkpoints(folder.path, 2);
  REQUIRE(list_checkpoints(folder.path).size() == 2);
  CHECK(list_checkpoints(folder.path)[1].ends_with("step-00000005.safetensors"));
  CHECK(fs::exists(folder.path + "/notes.txt"));
}

TEST_CASE("experiments/checkpoint: what a killed process left half written is removed, and nothing else") {
  const Folder folder;
  for (const char* name : {"step-00000064.safetensors.tmp30693.4", "model.safetensors.tmp1.0", "step-00000064.safetensors", "notes.tmp", "a.tmp5"})
    write_file_atomically(folder.path + "/" + name, "x");
  remove_torn_files(folder.path);
  CHECK_FALSE(fs::exists(folder.path + "/step-00000064.safetensors.tmp30693.4"));
  CHECK_FALSE(fs::exists(folder.path + "/model.safetensors.tmp1.0"));
  for (const char* name : {"step-00000064.safetensors", "notes.tmp", "a.tmp5"}) CHECK(fs::exists(folder.path + "/" + name));
}
