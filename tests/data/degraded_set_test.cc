#include "data/codecs/degraded_set.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <set>

#include "data/codecs/decode.h"
#include "data/codecs/preview_sheet.h"
#include "data/degrade.h"
#include "data/manifest.h"
#include "tests/data/errors.h"
#include "tests/data/pictures.h"
#include "tests/support/temporary_folder.h"

namespace bitpilot {
namespace {

using testing::check_error;
using testing::TemporaryFolder;

std::shared_ptr<MemoryImageSet> small_set(int count, int channels = 1) {
  auto set = std::make_shared<MemoryImageSet>();
  set->set_name = "small";
  set->label_names = {"t-shirt/top", "bag", "coat"};
  for (int i = 0; i < count; ++i) {
    set->images.push_back(testing::made_up_picture(28, 28, channels, static_cast<std::uint64_t>(i)));
    set->image_labels.push_back(i % 3);
  }
  return set;
}

DegradePlan grid() {
  DegradePlan plan;
  plan.families = {"clean", "jpeg", "gaussian_noise"};
  plan.severities = {2, 5};
  plan.copies = 2;
  plan.seed = 11;
  return plan;
}

bool go_on(std::size_t, std::size_t) { return true; }

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) names.push_back(entry.path().lexically_relative(folder).string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST_CASE(
    "data/codecs/degraded_set: what the manifest says of a picture makes it again, as IDX and as PNG, gray and "
    "colour") {
  for (const bool png : {false, true})
    for (const int channels : {1, 3}) {
      const TemporaryFolder folder;
      const auto set = small_set(5, channels);
      const std::string out = folder.path("set");
      REQUIRE(write_degraded_set(*set, grid(), out, png, 2, go_on));
      const std::vector<ManifestEntry> manifest = read_manifest(out + "/manifest.jsonl");
      const std::shared_ptr<const ImageSet> back = open_evaluation_set(out, png ? DecodeFile{decode_file} : nullptr);
      REQUIRE(manifest.size() == 5 * (1 + 2 + 2) * 2);
      REQUIRE(back->size() == manifest.size());
      CHECK(back->labels() == set->label_names);
      for (std::size_t i = 0; i < manifest.size(); ++i) {
        const ManifestEntry& entry = manifest[i];
        const std::size_t index = i / 10;
        CHECK(entry.source == set->source(index));
        const Image wanted = entry.severity == 0 ? set->image(index)
                                                 : degrade(set->image(index), entry.family, entry.severity, entry.seed);
        CHECK(back->image(i) == wanted);
        CHECK(back->family(i) == entry.family);
        CHECK(back->severity(i) == entry.severity);
        CHECK(back->label(i) == set->label(index));
        CHECK(back->source(i) == entry.source);
        CHECK(entry.checksum == pixels_checksum(wanted));
      }
      CHECK(manifest[3].parameters == R"({"quality":20})");
    }
}

TEST_CASE(
    "data/codecs/degraded_set: the same seed gives the same files whatever the threads, another seed other noise") {
  const TemporaryFolder folder;
  const auto set = small_set(60);
  DegradePlan plan = grid();
  write_degraded_set(*set, plan, folder.path("a"), false, 1, go_on);
  write_degraded_set(*set, plan, folder.path("b"), false, 3, go_on);
  plan.seed = 12;
  write_degraded_set(*set, plan, folder.path("c"), false, 3, go_on);
  for (const char* file : {"manifest.jsonl", "images-idx3-ubyte", "labels-idx1-ubyte", "labels.txt"}) {
    CHECK(folder.read(std::string("a/") + file) == folder.read(std::string("b/") + file));
    CHECK_FALSE(folder.read(std::string("a/") + file).empty());
  }
  CHECK(folder.read("a/images-idx3-ubyte") != folder.read("c/images-idx3-ubyte"));
}

TEST_CASE("data/codecs/degraded_set: copies of one picture differ, and splits of the set keep them together") {
  const TemporaryFolder folder;
  write_degraded_set(*small_set(60), grid(), folder.path("set"), false, 2, go_on);
  const DataSplits splits = open_splits(folder.path("set"), nullptr);
  std::set<std::string> train;
  for (std::size_t i = 0; i < splits.train->size(); ++i) train.insert(splits.train->source(i));
  for (std::size_t i = 0; i < splits.test->size(); ++i) CHECK_FALSE(train.contains(splits.test->source(i)));
  CHECK(splits.test->size() == 60);
  const std::vector<ManifestEntry> manifest = read_manifest(folder.path("set/manifest.jsonl"));
  CHECK(manifest[6].family == "gaussian_noise");
  CHECK(manifest[6].checksum != manifest[7].checksum);
}

TEST_CASE("data/codecs/degraded_set: a mixture draws one degradation a copy, from the asked families") {
  const TemporaryFolder folder;
  DegradePlan plan;
  plan.mixture = &standard_mixture();
  plan.held_out = true;
  plan.count = 40;
  REQUIRE(write_degraded_set(*small_set(200), plan, folder.path("set"), true, 2, go_on));
  const std::vector<ManifestEntry> manifest = read_manifest(folder.path("set/manifest.jsonl"));
  CHECK(manifest.size() == 40);
  std::set<std::string> families;
  for (const ManifestEntry& entry : manifest) {
    families.insert(entry.family);
    CHECK(entry.file.ends_with(".png"));
    CHECK(std::filesystem::exists(folder.path("set/" + entry.file)));
  }
  CHECK(families.contains("clean"));
  CHECK(families.size() >= 5);
  for (const std::string& seen : standard_mixture().seen) CHECK_FALSE(families.contains(seen));
  CHECK(names_in(folder.path("set")).size() == 42);
}

TEST_CASE("data/codecs/degraded_set: stopped or failed work leaves nothing behind and an earlier set whole") {
  const TemporaryFolder folder;
  const auto set = small_set(200);
  write_degraded_set(*set, grid(), folder.path("set"), false, 1, go_on);
  const std::string before = folder.read("set/manifest.jsonl");
  DegradePlan other = grid();
  other.seed = 99;
  CHECK_FALSE(write_degraded_set(*set, other, folder.path("set"), false, 1,
                                 [](std::size_t done, std::size_t) { return done < 500; }));
  CHECK(folder.read("set/manifest.jsonl") == before);
  CHECK_FALSE(std::filesystem::exists(folder.path("set.partial")));
  other.families = {"saturate"};
  CHECK_THROWS_AS(write_degraded_set(*set, other, folder.path("set"), false, 2, go_on), Error);  // gray pictures
  CHECK(folder.read("set/manifest.jsonl") == before);
  CHECK_FALSE(std::filesystem::exists(folder.path("set.partial")));
}

TEST_CASE(
    "data/codecs/degraded_set: a disk that takes no more is the machine's failure, and the earlier set stays whole") {
  const TemporaryFolder folder;
  const auto set = small_set(50);
  write_degraded_set(*set, grid(), folder.path("set"), false, 1, go_on);
  const std::string before = folder.read("set/manifest.jsonl");
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const rlimit small{100000, old.rlim_max};  // files may not grow beyond: write() fails as on a full disk
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  check_error(ExitCode::kMachine, {"cannot be written", "set.partial"},
              [&] { write_degraded_set(*set, grid(), folder.path("set"), false, 1, go_on); });
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK(folder.read("set/manifest.jsonl") == before);
  CHECK_FALSE(std::filesystem::exists(folder.path("set.partial")));
}

TEST_CASE(
    "data/codecs/degraded_set: an earlier set, and what a killed process left, are replaced; anything else is left "
    "alone") {
  const TemporaryFolder folder;
  const auto set = small_set(4);
  const std::string out = folder.path("set");
  write_degraded_set(*set, grid(), out, true, 1, go_on);
  std::filesystem::create_directory(folder.path("set.partial"));
  folder.write("set.partial/manifest.jsonl", "{");
  REQUIRE(write_degraded_set(*set, grid(), out, false, 1, go_on));
  CHECK(names_in(out) ==
        std::vector<std::string>{"images-idx3-ubyte", "labels-idx1-ubyte", "labels.txt", "manifest.jsonl"});
  CHECK_FALSE(std::filesystem::exists(folder.path("set.partial")));

  folder.write("set/thesis.txt", "years of work");
  check_error(ExitCode::kUsage, {"something else than a degraded set", "--out"},
              [&] { write_degraded_set(*set, grid(), out, false, 1, go_on); });
  CHECK(folder.read("set/thesis.txt") == "years of work");
  folder.write("photos/labels.txt", "photos of 1999");
  check_error(ExitCode::kUsage, {"photos"},
              [&] { write_degraded_set(*set, grid(), folder.path("photos"), false, 1, go_on); });
  folder.write("file", "x");
  check_error(ExitCode::kUsage, {"a file stands in the way"},
              [&] { write_degraded_set(*set, grid(), folder.path("file"), false, 1, go_on); });
  check_error(ExitCode::kMachine, {"/proc/none"},
              [&] { write_degraded_set(*set, grid(), "/proc/none/set", false, 1, go_on); });
}

TEST_CASE("data/codecs/degraded_set: a degraded set is not degraded again") {
  auto set = small_set(3);
  set->families = {"clean", "jpeg", "jpeg"};
  set->severities = {0, 1, 2};
  const TemporaryFolder folder;
  check_error(ExitCode::kUsage, {"degraded already"},
              [&] { write_degraded_set(*set, grid(), folder.path("set"), false, 1, go_on); });
}

TEST_CASE("data/manifest: a set that was changed after it was written is refused, with the line") {
  const TemporaryFolder folder;
  const auto set = small_set(4);
  const std::string out = folder.path("set");
  const auto again = [&](bool png) { write_degraded_set(*set, grid(), out, png, 1, go_on); };
  again(false);
  std::string images = folder.read("set/images-idx3-ubyte");
  images[16 + 784 * 3 + 5] ^= 1;
  folder.write("set/images-idx3-ubyte", images);
  check_error(ExitCode::kData, {"checksum of picture 3", "line 4"}, [&] { open_evaluation_set(out, nullptr); });

  again(false);
  std::string labels = folder.read("set/labels-idx1-ubyte");
  labels[8 + 5] = 2;
  folder.write("set/labels-idx1-ubyte", labels);
  check_error(ExitCode::kData, {"label of picture 5", "line 6"}, [&] { open_evaluation_set(out, nullptr); });

  again(false);
  const std::string manifest = folder.read("set/manifest.jsonl");
  folder.write("set/manifest.jsonl", manifest.substr(0, manifest.find('\n') + 1));
  check_error(ExitCode::kData, {"40 pictures, but 1 lines"}, [&] { open_evaluation_set(out, nullptr); });
  std::filesystem::remove(out + "/images-idx3-ubyte");
  check_error(ExitCode::kData, {"images-idx3-ubyte"}, [&] { open_evaluation_set(out, nullptr); });

  again(true);
  const ManifestEntry first = read_manifest(out + "/manifest.jsonl").front();
  folder.write("set/" + first.file, encode_png(testing::made_up_picture(28, 28, 1, 77)));
  const std::shared_ptr<const ImageSet> changed = open_evaluation_set(out, decode_file);
  check_error(ExitCode::kData, {"not the one that manifest.jsonl describes"}, [&] { changed->image(0); });
  std::filesystem::remove(out + "/" + first.file);
  check_error(ExitCode::kData, {"is missing", "line 1"}, [&] { open_evaluation_set(out, decode_file); });
}

TEST_CASE("data/manifest: a line that points out of the folder, or has an unknown key, is refused") {
  const TemporaryFolder folder;
  const std::string good =
      R"({"file":"a/b.png","source":"s","family":"jpeg","severity":1,"parameters":{},"seed":1,"label":"a","checksum":"sha256:0"})";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return folder.write("manifest.jsonl", text.replace(text.find(from), from.size(), to));
  };
  CHECK(read_manifest(folder.write("manifest.jsonl", good)).size() == 1);
  for (const char* path : {"../b.png", "a/../../b.png", "/etc/passwd"})
    check_error(ExitCode::kData, {"points out of the folder", "line 1"}, [&] { read_manifest(with("a/b.png", path)); });
  check_error(ExitCode::kData, {"sorce", "source"}, [&] { read_manifest(with("\"source\"", "\"sorce\"")); });
  check_error(ExitCode::kData, {"no family 'jpg'"}, [&] { read_manifest(with("\"jpeg\"", "\"jpg\"")); });
  check_error(ExitCode::kData, {"line 1"}, [&] { read_manifest(with("\"severity\":1", "\"severity\":6")); });
}

TEST_CASE("data/codecs/preview_sheet: shows the picture and its degraded copies where their row and column say") {
  const Image src = testing::made_up_picture(28, 28, 1, 3);
  const Image sheet = preview_sheet(src, {"gaussian_blur", "saturate", "jpeg"}, {1, 5}, 4);
  CHECK(sheet.channels == 1);
  // Cells are 112 px (4 x 28) with gaps of 6 below a head of 28 and right of names of 150; saturate does not apply to
  // gray.
  CHECK(sheet.height == 28 + 2 * 118);
  CHECK(sheet.width == 150 + 3 * 118);
  const Image jpeg = degrade(src, "jpeg", 5, 4);
  int wrong = 0;
  for (int y = 0; y < 28; ++y)
    for (int x = 0; x < 28; ++x) {
      wrong += sheet.view().row(28 + 4 * y)[150 + 4 * x] != src.view().row(y)[x] ? 1 : 0;
      wrong += sheet.view().row(28 + 118 + 4 * y + 3)[150 + 2 * 118 + 4 * x + 3] != jpeg.view().row(y)[x] ? 1 : 0;
    }
  CHECK(wrong == 0);
  CHECK(preview_sheet(testing::made_up_picture(300, 200, 3, 1), {"fog"}, {3}, 0).channels == 3);
  check_error(ExitCode::kUsage, {"nothing to show"}, [&] { preview_sheet(src, {"saturate"}, {1}, 0); });
}

}  // namespace
}  // namespace bitpilot
