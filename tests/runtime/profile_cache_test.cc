#include "runtime/profile_cache.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/engine/random_weights.h"
#include "tests/support/temporary_folder.h"

using namespace bitpilot;

namespace {

const Machine kHere{"a processor", "avx2", 1, "0.1.0", "some ways"};
constexpr const char* kHash = "sha256:aa";

/// XDG_CACHE_HOME for as long as it lives.
class CacheHome {
 public:
  explicit CacheHome(const std::string& folder) {
    if (const char* now = std::getenv("XDG_CACHE_HOME")) before_ = now;
    setenv("XDG_CACHE_HOME", folder.c_str(), /*overwrite=*/1);
  }
  ~CacheHome() {
    if (before_)
      setenv("XDG_CACHE_HOME", before_->c_str(), /*overwrite=*/1);
    else
      unsetenv("XDG_CACHE_HOME");
  }
  CacheHome(const CacheHome&) = delete;
  CacheHome& operator=(const CacheHome&) = delete;

 private:
  std::optional<std::string> before_;
};

/// The second kernel for every layer at 8 bits.
std::string text_of(const ModelData& model) {
  std::vector<ProfileEntry> entries;
  for (int l = 0; l < model.network.layer_count(); ++l)
    entries.push_back({l, 8, 8, model.space.layers[static_cast<std::size_t>(l)].blocks, 0.5, 0.01, 0.1, 1, "a kernel"});
  return profile_text(kHere, model.network, model.space, entries, {0.001, 0.002, 0.004});
}

}  // namespace

TEST_CASE("profile_cache: what was kept is found for the same model and machine alone, and never with off") {
  const bitpilot::testing::TemporaryFolder folder;
  const CacheHome home(folder.path() + "/not/there/yet");
  const ModelData model = random_weights(resnet8({3, 16, 16}, 10));
  CHECK(!find_profile("", model, kHash, kHere));
  REQUIRE(keep_profile(text_of(model), kHash, kHere));
  const std::optional<Profile> found = find_profile("", model, kHash, kHere);
  REQUIRE(found);
  CHECK(found->choice.place(1, {8, 8, model.space.layers[1].blocks}) == 1);
  CHECK(!find_profile("off", model, kHash, kHere));
  CHECK(!find_profile("", model, "sha256:bb", kHere));
  CHECK(!find_profile("", model, "", kHere));  // random weights have no hash
  std::vector<Machine> others(5, kHere);
  others[0].cpu = "another";
  others[1].isa = "scalar";
  others[2].threads = 2;
  others[3].version = "0.2.0";
  others[4].kernels = "other ways";
  for (const Machine& other : others) {
    CHECK(profile_cache_file(kHash, other) != profile_cache_file(kHash, kHere));
    CHECK(!find_profile("", model, kHash, other));
  }
}

TEST_CASE("profile_cache: a damaged or foreign file there is as good as none, a named one is refused") {
  const bitpilot::testing::TemporaryFolder folder;
  const CacheHome home(folder.path());
  const ModelData model = random_weights(resnet8({3, 16, 16}, 10)), other = random_weights(resnet8({3, 16, 16}, 11));
  const std::string text = text_of(model), named = folder.path() + "/named.json";
  REQUIRE(keep_profile(text.substr(0, text.size() / 2), kHash, kHere));
  CHECK(!find_profile("", model, kHash, kHere));
  REQUIRE(keep_profile(text, kHash, kHere));
  CHECK(!find_profile("", other, kHash, kHere));
  write_file_atomically(named, text.substr(0, text.size() / 2));
  CHECK_THROWS_AS(find_profile(named, model, kHash, kHere), Error);
  write_file_atomically(named, text);
  CHECK(find_profile(named, model, "", kHere));
}

TEST_CASE("profile_cache: where nothing can be written nothing is kept, without a word") {
  const bitpilot::testing::TemporaryFolder folder;
  write_file_atomically(folder.path() + "/file", "no folder");
  const CacheHome home(folder.path() + "/file");
  const ModelData model = random_weights(resnet8({3, 16, 16}, 10));
  CHECK(!keep_profile(text_of(model), kHash, kHere));
  CHECK(!find_profile("", model, kHash, kHere));
}
